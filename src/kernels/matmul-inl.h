// The frame shared by the three matrix products: packing, the register-blocked inner product and the loops around it.
//
// Everything is brought to 32-bit "units": a unit holds the `group` consecutive k of one row that one multiply-add
// instruction consumes (four i8, two i16 or one f32). A panel of weights lies as [unit][n], a block of activations as
// [unit][row]; the inner loop then broadcasts an activation unit against vectors of weight units and never reduces
// across lanes.
//
// Invariant: per-target code (included once per instruction set), no memory but the caller's and a thread's scratch.
//
// A policy class describes one product:
//   acc                              accumulator; policy::lanes() of its results are one vector
//   group, tile_n, row_bytes         k per unit; rows of a weight tile; bytes of one tile row (32 k)
//   cell_k                           k per 16-byte activation cell
//   weight_units(row, u)             units u..u+3 of a tile row;    u a multiple of 4
//   activation_units(cells, stride, u)   units u..u+3 of an activation row
//   row_bias(cells, stride, K)       what the accumulators of that row start with
//   start(bias), multiply_add(acc, activation, weight), finish(acc)
//   store(values, n_values, output, M, m, n)  writes values of row m, columns n.. to native output

#if defined(RKNPU_KERNELS_MATMUL_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef RKNPU_KERNELS_MATMUL_INL_H
#undef RKNPU_KERNELS_MATMUL_INL_H
#else
#define RKNPU_KERNELS_MATMUL_INL_H
#endif

#include "kernels/scratch.h"

#include <cstdint>
#include <cstring>

// Like HWY_BEFORE_NAMESPACE, plus VNNI, which every machine that Highway takes for AVX3_DL has.
#undef RKNPU_BEFORE_NAMESPACE
#if HWY_TARGET == HWY_AVX3_DL
#define RKNPU_BEFORE_NAMESPACE() HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
#define RKNPU_BEFORE_NAMESPACE() HWY_BEFORE_NAMESPACE()
#endif

RKNPU_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tag_i32 = hn::ScalableTag<int32_t>;
using tag_i32x4 = hn::FixedTag<int32_t, 4>;
using vec_i32 = hn::Vec<tag_i32>;
using vec_i32x4 = hn::Vec<tag_i32x4>;

constexpr size_t max_lanes = 16; // 32-bit lanes of the widest instruction set

// Rows x vectors of accumulators that fit the registers beside the operands.
constexpr int block_rows = HWY_TARGET <= HWY_AVX3 && HWY_TARGET >= HWY_AVX3_DL ? 8 : 4;
constexpr int block_vectors = 2;

// Writes a 4 x 4 transpose: out[j * stride + i] = lane j of v_i.
inline void store_transposed(vec_i32x4 v0, vec_i32x4 v1, vec_i32x4 v2, vec_i32x4 v3, int32_t * out, size_t stride) {
    const tag_i32x4 d;
    const hn::Repartition<int64_t, tag_i32x4> d64;
    const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d, v0, v1));
    const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d, v2, v3));
    const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d, v0, v1));
    const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d, v2, v3));
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, low01, low23)), d, out);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, low01, low23)), d, out + stride);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, high01, high23)), d, out + 2 * stride);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, high01, high23)), d, out + 3 * stride);
}

// Weight rows n0 .. n0 + width to panel[K / group][width]; width is a multiple of 4.
template <class P> void pack_panel(const uint8_t * weight, size_t K, size_t n0, size_t width, int32_t * panel) {
    constexpr size_t tile_units = 32 / P::group;
    for (size_t n = n0; n < n0 + width; n += 4) {
        const uint8_t * row =
            weight + (n / P::tile_n) * (K / 32) * P::tile_n * P::row_bytes + (n % P::tile_n) * P::row_bytes;
        int32_t * out = panel + (n - n0);
        for (size_t k = 0; k < K; k += 32, row += P::tile_n * P::row_bytes) {
            for (size_t u = 0; u < tile_units; u += 4, out += 4 * width) {
                store_transposed(P::weight_units(row, u), P::weight_units(row + P::row_bytes, u),
                                 P::weight_units(row + 2 * P::row_bytes, u), P::weight_units(row + 3 * P::row_bytes, u),
                                 out, width);
            }
        }
    }
}

// Activation rows m0 .. m0 + rows to packed[K / group][rows].
template <class P>
void pack_rows(const uint8_t * activation, size_t M, size_t K, size_t m0, size_t rows, int32_t * packed) {
    const tag_i32x4 d;
    const size_t units = K / P::group;
    for (size_t u = 0; u < units; u += 4) {
        for (size_t r = 0; r < rows; r++) {
            HWY_ALIGN int32_t four[4];
            hn::Store(P::activation_units(activation + 16 * (m0 + r), 16 * M, u), d, four);
            for (size_t j = 0; j < 4; j++)
                packed[(u + j) * rows + r] = four[j];
        }
    }
}

// ROWS rows starting at m times VECTORS vectors of columns starting at n, over all of K.
template <class P, int ROWS, int VECTORS>
void multiply_block(const int32_t * packed, const int32_t * panel, const int32_t * bias, size_t units, uint8_t * output,
                    size_t M, size_t m, size_t n) {
    const tag_i32 d;
    const size_t lanes = hn::Lanes(d);
    typename P::acc acc[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            acc[r][v] = P::start(bias[r]);
    }
    for (size_t u = 0; u < units; u++) {
        vec_i32 w[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            w[v] = hn::Load(d, panel + v * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            const vec_i32 a = hn::Set(d, packed[r]);
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; v++)
                P::multiply_add(acc[r][v], a, w[v]);
        }
        packed += ROWS;
        panel += VECTORS * lanes;
    }
    HWY_ALIGN int32_t values[VECTORS * max_lanes];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++)
            hn::Store(P::finish(acc[r][v]), d, values + v * lanes);
        P::store(values, VECTORS * lanes, output, M, m + r, n);
    }
}

// Rows of the block that starts at row m: full blocks, then 4, 2 and 1.
inline size_t rows_at(size_t m, size_t M) {
    const size_t left = M - m;
    return left >= block_rows ? block_rows : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

template <class P, int VECTORS>
void multiply_panel(const int32_t * packed, const int32_t * panel, const int32_t * bias, size_t K, uint8_t * output,
                    size_t M, size_t n) {
    const size_t units = K / P::group;
    for (size_t m = 0, rows; m < M; m += rows) {
        rows = rows_at(m, M);
        const int32_t * a = packed + m * units;
        switch (rows) {
        case 8:
            multiply_block<P, block_rows, VECTORS>(a, panel, bias + m, units, output, M, m, n);
            break;
        case 4:
            multiply_block<P, 4, VECTORS>(a, panel, bias + m, units, output, M, m, n);
            break;
        case 2:
            multiply_block<P, 2, VECTORS>(a, panel, bias + m, units, output, M, m, n);
            break;
        default:
            multiply_block<P, 1, VECTORS>(a, panel, bias + m, units, output, M, m, n);
            break;
        }
    }
}

template <class P>
void multiply(const uint8_t * activation, const uint8_t * weight, uint8_t * output, size_t M, size_t K, size_t n_begin,
              size_t n_end) {
    const size_t lanes = hn::Lanes(tag_i32());
    const size_t units = K / P::group;
    const size_t panel_size = units * block_vectors * lanes;
    int32_t * panel = thread_scratch(panel_size + M * units + M);
    int32_t * packed = panel + panel_size;
    int32_t * bias = packed + M * units;
    for (size_t m = 0, rows; m < M; m += rows) {
        rows = rows_at(m, M);
        pack_rows<P>(activation, M, K, m, rows, packed + m * units);
    }
    for (size_t m = 0; m < M; m++)
        bias[m] = P::row_bias(activation + 16 * m, 16 * M, K);
    for (size_t n = n_begin; n < n_end;) {
        const size_t width = n_end - n >= block_vectors * lanes ? block_vectors * lanes : lanes;
        pack_panel<P>(weight, K, n, width, panel);
        if (width == lanes) {
            multiply_panel<P, 1>(packed, panel, bias, K, output, M, n);
        } else {
            multiply_panel<P, block_vectors>(packed, panel, bias, K, output, M, n);
        }
        n += width;
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#endif
