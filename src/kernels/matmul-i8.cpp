// The i8 product of one job on native operands, exact in i32.
//
// Invariant: integer sums, so every instruction set and every order gives the same bits.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul-i8.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/matmul-int-inl.h"

RKNPU_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {

struct i8_product : integer_units {
    static constexpr size_t tile_n = 32;
    static constexpr size_t row_bytes = 32;

    static vec_i8x16 load(const uint8_t * p) {
        if constexpr (group == 4) {
            return hn::LoadU(tag_i8x16(), reinterpret_cast<const int8_t *>(p));
        } else {
            const hn::FixedTag<int8_t, 8> half;
            return hn::ZeroExtendVector(tag_i8x16(), hn::LoadU(half, reinterpret_cast<const int8_t *>(p)));
        }
    }
    static vec_i32x4 weight_units(const uint8_t * row, size_t u) { return weight_of(load(row + u * group)); }
    static vec_i32x4 activation_units(const uint8_t * cells, size_t stride, size_t u) {
        const size_t k = u * group;
        return activation_of(load(cells + k / 16 * stride + k % 16));
    }
    static int32_t row_bias(const uint8_t * cells, size_t stride, size_t K) {
        if constexpr (group != 4) return 0;
        int32_t sum = 0;
        for (size_t k = 0; k < K; k += 16, cells += stride) {
            sum += sum_of_codes(hn::LoadU(tag_i8x16(), reinterpret_cast<const int8_t *>(cells)));
        }
        return bias_of(sum);
    }
    static void store(const int32_t * values, size_t count, uint8_t * output, size_t M, size_t m, size_t n) {
        uint8_t * cell = output + 16 * (n / 4 * M + m);
        for (size_t i = 0; i < count; i += 4, cell += 16 * M)
            std::memcpy(cell, values + i, 16);
    }
};

constexpr size_t max_single_rows = 3; // measured: from here on repacking the weights into a panel pays off

// One row against a whole weight that is read once, in memory order where the registers allow it.
#if HWY_TARGET == HWY_AVX3_DL

void multiply_row(const uint8_t * row, const uint8_t * weight, uint8_t * output, size_t M, size_t K, size_t n_begin,
                  size_t n_end) {
    const tag_i32 d;
    const hn::Half<tag_i32> dh;
    const auto flip = hn::Set(d, int32_t(0x80808080));
    const int32_t bias = i8_product::row_bias(row, 16, K);
    for (size_t n = n_begin; n < n_end; n += 32) {
        const uint8_t * tile = weight + n * K;
        vec_i32 acc[16]; // rows 2 i and 2 i + 1 of the tile, eight partial sums each
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
            acc[i] = hn::Zero(d);
        for (size_t k = 0; k < K; k += 32, tile += 1024) {
            const auto half = hn::LoadU(dh, reinterpret_cast<const int32_t *>(row + k));
            const auto a = hn::Combine(d, half, half);
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) {
                const auto w = hn::Xor(hn::LoadU(d, reinterpret_cast<const int32_t *>(tile + 64 * i)), flip);
                i8_product::multiply_add(acc[i], a, w);
            }
        }
        HWY_ALIGN int32_t sums[32];
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            sums[2 * i] = bias + hn::GetLane(hn::SumOfLanes(dh, hn::LowerHalf(dh, acc[i])));
            sums[2 * i + 1] = bias + hn::GetLane(hn::SumOfLanes(dh, hn::UpperHalf(dh, acc[i])));
        }
        i8_product::store(sums, 32, output, M, 0, n);
    }
}

#else

void multiply_row(const uint8_t * row, const uint8_t * weight, uint8_t * output, size_t M, size_t K, size_t n_begin,
                  size_t n_end) {
    const tag_i32 d;
    const hn::Repartition<int16_t, tag_i32> d16;
    const hn::Rebind<int8_t, decltype(d16)> d8;
    const size_t lanes = hn::Lanes(d16);
    constexpr int together = 4; // rows of weights
    for (size_t n = n_begin; n < n_end; n += together) {
        const int8_t * w = reinterpret_cast<const int8_t *>(weight) + n / 32 * 32 * K + n % 32 * 32;
        i8_product::acc acc[together];
#pragma GCC unroll 4
        for (int i = 0; i < together; i++)
            acc[i] = i8_product::start(0);
        for (size_t k = 0; k < K; k += 32, w += 1024) {
            for (size_t j = 0; j < 32; j += lanes) {
                const auto a =
                    hn::BitCast(d, hn::PromoteTo(d16, hn::LoadU(d8, reinterpret_cast<const int8_t *>(row + k + j))));
#pragma GCC unroll 4
                for (int i = 0; i < together; i++) {
                    i8_product::multiply_add(acc[i], a,
                                             hn::BitCast(d, hn::PromoteTo(d16, hn::LoadU(d8, w + 32 * i + j))));
                }
            }
        }
        HWY_ALIGN int32_t sums[together];
        for (int i = 0; i < together; i++) {
            sums[i] = hn::GetLane(hn::SumOfLanes(d, hn::Add(acc[i].sum0, acc[i].sum1)));
        }
        i8_product::store(sums, together, output, M, 0, n);
    }
}

#endif

void multiply_i8(const uint8_t * activation, const uint8_t * weight, uint8_t * output, size_t M, size_t K,
                 size_t n_begin, size_t n_end) {
    if (M > max_single_rows) return multiply<i8_product>(activation, weight, output, M, K, n_begin, n_end);
    for (size_t m = 0; m < M; m++) {
        uint8_t * row = reinterpret_cast<uint8_t *>(thread_scratch(K / 4));
        for (size_t k = 0; k < K; k += 16)
            std::memcpy(row + k, activation + k * M + 16 * m, 16);
        multiply_row(row, weight, output + 16 * m, M, K, n_begin, n_end);
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(multiply_i8);

void matmul_native_i8(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                      size_t n_end) {
    HWY_DYNAMIC_DISPATCH(multiply_i8)
    (static_cast<const uint8_t *>(activation), static_cast<const uint8_t *>(weight), static_cast<uint8_t *>(output), M,
     K, n_begin, n_end);
}

} // namespace rknpu::kernels
#endif
