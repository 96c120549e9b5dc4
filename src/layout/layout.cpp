// Copies weight rows into and out of the native layout, one tile row (tile_k consecutive columns) at a time.
//
// Invariant: a row touches only its own bytes, so rows may be packed by different threads at once: an i4 row starts and
// ends on whole bytes because tile_k is even.
#include "layout/layout.h"

#include <algorithm>

namespace rknpu {

namespace {

// Calls body(offset, k, count) for each tile row: its first element's place in the native weight, its first column and
// how many of its tile_k columns exist.
template <class F> void for_each_tile_row(const weight_layout & layout, size_t n, size_t K, F body) {
    for (size_t k = 0; k < layout.K; k += layout.tile_k) {
        body(layout.index(n, k), k, k < K ? std::min(K - k, layout.tile_k) : size_t(0));
    }
}

template <class T> void pack_row(const weight_layout & layout, size_t n, const T * codes, size_t K, void * native) {
    T * out = static_cast<T *>(native);
    for_each_tile_row(layout, n, K, [&](size_t offset, size_t k, size_t count) {
        std::copy_n(codes + k, count, out + offset);
        std::fill_n(out + offset + count, layout.tile_k - count, T(0));
    });
}

template <class T> void unpack_row(const weight_layout & layout, size_t n, T * codes, size_t K, const void * native) {
    const T * in = static_cast<const T *>(native);
    for_each_tile_row(layout, n, K,
                      [&](size_t offset, size_t k, size_t count) { std::copy_n(in + offset, count, codes + k); });
}

} // namespace

void pack_weight_row_f16(const weight_layout & layout, size_t n, const uint16_t * codes, size_t K, void * native) {
    pack_row(layout, n, codes, K, native);
}

void pack_weight_row_i8(const weight_layout & layout, size_t n, const int8_t * codes, size_t K, void * native) {
    pack_row(layout, n, codes, K, native);
}

void pack_weight_row_i4(const weight_layout & layout, size_t n, const int8_t * codes, size_t K, void * native) {
    uint8_t * out = static_cast<uint8_t *>(native);
    for_each_tile_row(layout, n, K, [&](size_t offset, size_t k, size_t count) {
        uint8_t * bytes = out + offset / 2;
        const size_t pairs = count / 2;
        for (size_t i = 0; i < pairs; i++) {
            bytes[i] = uint8_t((codes[k + 2 * i] & 15) | (codes[k + 2 * i + 1] & 15) << 4);
        }
        std::fill(bytes + pairs, bytes + layout.tile_k / 2, uint8_t(0));
        if (count % 2 != 0) bytes[pairs] = uint8_t(codes[k + count - 1] & 15);
    });
}

void unpack_weight_row_f16(const weight_layout & layout, size_t n, uint16_t * codes, size_t K, const void * native) {
    unpack_row(layout, n, codes, K, native);
}

void unpack_weight_row_i8(const weight_layout & layout, size_t n, int8_t * codes, size_t K, const void * native) {
    unpack_row(layout, n, codes, K, native);
}

void unpack_weight_row_i4(const weight_layout & layout, size_t n, int8_t * codes, size_t K, const void * native) {
    const uint8_t * in = static_cast<const uint8_t *>(native);
    for_each_tile_row(layout, n, K, [&](size_t offset, size_t k, size_t count) {
        for (size_t i = 0; i < count; i++) {
            const int nibble = in[(offset + i) / 2] >> (i % 2 * 4) & 15;
            codes[k + i] = int8_t((nibble ^ 8) - 8);
        }
    });
}

} // namespace rknpu
