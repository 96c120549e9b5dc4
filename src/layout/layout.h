// The NPU's native layouts as index formulas. Offsets are in elements (i4: nibbles, even offset = low nibble).
//
//   activation [M, K], atom = tile.activation_k:
//       (k / atom) * M * atom + m * atom + k % atom
//   weight [N, K], tn = tile.weight_n, tk = tile.weight_k:
//       ((n / tn) * ceil(K / tk) + k / tk) * tn * tk + (n % tn) * tk + k % tk
//   output [M, N], atom = tile.output_n:
//       (n / atom) * M * atom + m * atom + n % atom
//
// Invariant: every offset in [0, size) is hit by exactly one (row, column) of the padded matrix; padding is zero.
// Because n / tn is the outermost index, rows [n0, n1) of a weight with n0, n1 multiples of tn are one contiguous
// range: that is how N is cut over cores without repacking. Source: vendor's matmul header and user guide 2.3;
// confirmed bit for bit on a board by unimatrix099/rk-llama.cpp.
#pragma once

#include "plan/chip.h"

#include <cstddef>
#include <cstdint>

namespace rknpu {

constexpr size_t round_up(size_t value, size_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

struct activation_layout {
    size_t M, K; // rows; columns, padded to the atom
    size_t atom;

    activation_layout(const tile_shape & tile, size_t M, size_t K)
        : M(M), K(round_up(K, size_t(tile.activation_k))), atom(size_t(tile.activation_k)) {}
    size_t index(size_t m, size_t k) const { return (k / atom) * M * atom + m * atom + k % atom; }
    size_t size() const { return M * K; } // elements
};

struct weight_layout {
    size_t N, K; // rows (output features) and columns, padded to the tile
    size_t tile_n, tile_k;

    weight_layout(const tile_shape & tile, size_t N, size_t K)
        : N(round_up(N, size_t(tile.weight_n))), K(round_up(K, size_t(tile.weight_k))), tile_n(size_t(tile.weight_n)),
          tile_k(size_t(tile.weight_k)) {}
    size_t index(size_t n, size_t k) const {
        return ((n / tile_n) * (K / tile_k) + k / tile_k) * tile_n * tile_k + (n % tile_n) * tile_k + k % tile_k;
    }
    size_t size() const { return N * K; } // elements
};

struct output_layout {
    size_t M, N; // rows; columns, padded to the atom
    size_t atom;

    output_layout(const tile_shape & tile, size_t M, size_t N)
        : M(M), N(round_up(N, size_t(tile.output_n))), atom(size_t(tile.output_n)) {}
    size_t index(size_t m, size_t n) const { return (n / atom) * M * atom + m * atom + n % atom; }
    size_t size() const { return M * N; } // elements
};

// Packs one weight row: codes[0 .. K) of row n to its place in a weight in native layout. i4 codes come one per byte
// (-8..7) and leave two per byte, even k in the low nibble. Columns K .. layout.K become zero. Rows may be packed by
// different threads at the same time.
void pack_weight_row_f16(const weight_layout & layout, size_t n, const uint16_t * codes, size_t K, void * native);
void pack_weight_row_i8(const weight_layout & layout, size_t n, const int8_t * codes, size_t K, void * native);
void pack_weight_row_i4(const weight_layout & layout, size_t n, const int8_t * codes, size_t K, void * native);

// The way back: codes of row n, columns 0 .. K.
void unpack_weight_row_f16(const weight_layout & layout, size_t n, uint16_t * codes, size_t K, const void * native);
void unpack_weight_row_i8(const weight_layout & layout, size_t n, int8_t * codes, size_t K, const void * native);
void unpack_weight_row_i4(const weight_layout & layout, size_t n, int8_t * codes, size_t K, const void * native);

} // namespace rknpu
