// Integer accumulation for the i8 and i4 products.
//
// Invariant: exact in i32 for any operands with K <= 65536. With AVX-512 VNNI four products go into an accumulator at
// once, but one factor must be unsigned: weights are biased by 128, and 128 times the row's sum is taken off the
// accumulator at the start. Elsewhere codes are widened to i16, whose pairwise products fit i32.

#if defined(RKNPU_KERNELS_MATMUL_INT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef RKNPU_KERNELS_MATMUL_INT_INL_H
#undef RKNPU_KERNELS_MATMUL_INT_INL_H
#else
#define RKNPU_KERNELS_MATMUL_INT_INL_H
#endif

#include "kernels/matmul-inl.h"

RKNPU_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {

using tag_i8x16 = hn::FixedTag<int8_t, 16>;
using vec_i8x16 = hn::Vec<tag_i8x16>;

#if HWY_TARGET == HWY_AVX3_DL

struct integer_units {
    static constexpr size_t group = 4;
    using acc = vec_i32;

    static acc start(int32_t bias) { return hn::Set(tag_i32(), bias); }
    static void multiply_add(acc & sum, vec_i32 activation, vec_i32 weight) {
        sum.raw = _mm512_dpbusd_epi32(sum.raw, weight.raw, activation.raw);
    }
    static vec_i32 finish(acc sum) { return sum; }
    static constexpr int32_t bias_of(int32_t row_sum) { return -128 * row_sum; }

    // 16 codes as four units.
    static vec_i32x4 activation_of(vec_i8x16 codes) { return hn::BitCast(tag_i32x4(), codes); }
    static vec_i32x4 weight_of(vec_i8x16 codes) {
        const hn::FixedTag<uint8_t, 16> du8;
        return hn::BitCast(tag_i32x4(), hn::Xor(hn::BitCast(du8, codes), hn::Set(du8, 0x80)));
    }
};

#else

struct integer_units {
    static constexpr size_t group = 2;
    struct acc {
        vec_i32 sum0, sum1;
        // Written out: GCC gives functions of its own making no instruction set, and NEON's are not the default one.
        HWY_INLINE acc() {}
        HWY_INLINE acc(vec_i32 sum0, vec_i32 sum1) : sum0(sum0), sum1(sum1) {}
    };

    static acc start(int32_t) { return {hn::Zero(tag_i32()), hn::Zero(tag_i32())}; }
    static void multiply_add(acc & sum, vec_i32 activation, vec_i32 weight) {
        const tag_i32 d;
        const hn::Repartition<int16_t, tag_i32> d16;
        sum.sum0 = hn::ReorderWidenMulAccumulate(d, hn::BitCast(d16, activation), hn::BitCast(d16, weight), sum.sum0,
                                                 sum.sum1);
    }
    static vec_i32 finish(acc sum) { return hn::RearrangeToOddPlusEven(sum.sum0, sum.sum1); }
    static constexpr int32_t bias_of(int32_t) { return 0; }

    // The low 8 codes as four units.
    static vec_i32x4 activation_of(vec_i8x16 codes) {
        return hn::BitCast(tag_i32x4(), hn::PromoteTo(hn::FixedTag<int16_t, 8>(), hn::LowerHalf(codes)));
    }
    static vec_i32x4 weight_of(vec_i8x16 codes) { return activation_of(codes); }
};

#endif

// Codes per four units, and the sum of 16 codes added to sum.
constexpr size_t codes_per_load = 4 * integer_units::group;
inline int32_t sum_of_codes(vec_i8x16 codes) {
    const hn::FixedTag<int16_t, 8> d16;
    const auto pairs = hn::Add(hn::PromoteTo(d16, hn::LowerHalf(codes)),
                               hn::PromoteTo(d16, hn::UpperHalf(hn::FixedTag<int8_t, 8>(), codes)));
    const tag_i32x4 d;
    auto none = hn::Zero(d);
    const auto sums = hn::ReorderWidenMulAccumulate(d, pairs, hn::Set(d16, 1), hn::Zero(d), none);
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(sums, none)));
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#endif
