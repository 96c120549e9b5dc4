// The f16 product of one job on native operands: exact products, f32 sums.
//
// Invariant: each output is the sum of its products in ascending k, one rounding per product where the machine has a
// fused multiply-add and two where it has not; few rows (max_single_rows) sum in lanes that are added at the end. Bits
// may therefore differ between instruction sets and between a product of few and one of many rows, within the error of
// K f32 additions.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul-f16.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/f16-inl.h"
#include "kernels/matmul-inl.h"

RKNPU_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {

using tag_f32 = hn::ScalableTag<float>;

struct f16_product {
    static constexpr size_t group = 1;
    static constexpr size_t tile_n = 16;
    static constexpr size_t row_bytes = 64;
    using acc = hn::Vec<tag_f32>;

    static acc start(int32_t) { return hn::Zero(tag_f32()); }
    static void multiply_add(acc & sum, vec_i32 activation, vec_i32 weight) {
        const tag_f32 d;
        sum = hn::MulAdd(hn::BitCast(d, activation), hn::BitCast(d, weight), sum);
    }
    static vec_i32 finish(acc sum) { return hn::BitCast(tag_i32(), sum); }
    static int32_t row_bias(const uint8_t *, size_t, size_t) { return 0; }

    static vec_i32x4 load(const uint8_t * p) {
        return hn::BitCast(tag_i32x4(), f16::load(hn::FixedTag<float, 4>(), reinterpret_cast<const uint16_t *>(p)));
    }
    static vec_i32x4 weight_units(const uint8_t * row, size_t u) { return load(row + 2 * u); }
    static vec_i32x4 activation_units(const uint8_t * cells, size_t stride, size_t u) {
        return load(cells + u / 8 * stride + u % 8 * 2);
    }
    static void store(const int32_t * values, size_t count, uint8_t * output, size_t M, size_t m, size_t n) {
        uint8_t * cell = output + 16 * (n / 4 * M + m);
        for (size_t i = 0; i < count; i += 4, cell += 16 * M)
            std::memcpy(cell, values + i, 16);
    }
};

constexpr size_t max_single_rows = 6; // measured: from here on a panel of f32 weights pays off

// One row (already f32) against a whole weight that is read once.
void multiply_row(const float * row, const uint8_t * weight, uint8_t * output, size_t M, size_t K, size_t n_begin,
                  size_t n_end) {
    const tag_f32 d;
    const size_t lanes = hn::Lanes(d);
    constexpr int together = 8; // rows of weights
    for (size_t n = n_begin; n < n_end; n += together) {
        const uint16_t * w = reinterpret_cast<const uint16_t *>(weight) + n / 16 * 16 * K + n % 16 * 32;
        f16_product::acc acc[together];
#pragma GCC unroll 8
        for (int i = 0; i < together; i++)
            acc[i] = hn::Zero(d);
        for (size_t k = 0; k < K; k += 32, w += 16 * 32) {
            for (size_t j = 0; j < 32; j += lanes) {
                const auto a = hn::LoadU(d, row + k + j);
#pragma GCC unroll 8
                for (int i = 0; i < together; i++) {
                    acc[i] = hn::MulAdd(a, f16::load(d, w + 32 * i + j), acc[i]);
                }
            }
        }
        for (int i = 0; i < together; i++) {
            const float sum = hn::GetLane(hn::SumOfLanes(d, acc[i]));
            std::memcpy(output + 16 * ((n + i) / 4 * M) + (n + i) % 4 * 4, &sum, 4);
        }
    }
}

void multiply_f16(const uint8_t * activation, const uint8_t * weight, uint8_t * output, size_t M, size_t K,
                  size_t n_begin, size_t n_end) {
    if (M > max_single_rows) return multiply<f16_product>(activation, weight, output, M, K, n_begin, n_end);
    for (size_t m = 0; m < M; m++) {
        int32_t * row = thread_scratch(K);
        pack_rows<f16_product>(activation, M, K, m, 1, row);
        multiply_row(reinterpret_cast<const float *>(row), weight, output + 16 * m, M, K, n_begin, n_end);
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(multiply_f16);

void matmul_native_f16(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                       size_t n_end) {
    HWY_DYNAMIC_DISPATCH(multiply_f16)
    (static_cast<const uint8_t *>(activation), static_cast<const uint8_t *>(weight), static_cast<uint8_t *>(output), M,
     K, n_begin, n_end);
}

} // namespace rknpu::kernels
#endif
