// From f32 rows to codes in native activation cells, and the magnitude that the scale comes from.
//
// Invariant: one rounding, to nearest even, of x * inverse_scale; every instruction set gives the same codes.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Compares the bits below the sign as integers: these order like the magnitudes, with infinity above every number and
// NaN above infinity, so neither can be lost.
float max_magnitude(const float * x, size_t count) {
    const hn::ScalableTag<float> d;
    const hn::RebindToSigned<decltype(d)> di;
    const size_t lanes = hn::Lanes(d);
    const auto below_sign = hn::Set(di, 0x7fffffff);
    auto max0 = hn::Zero(di), max1 = max0, max2 = max0, max3 = max0;
    const auto bits = [&](size_t i) HWY_ATTR { return hn::And(hn::BitCast(di, hn::LoadU(d, x + i)), below_sign); };
    size_t i = 0;
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
        max0 = hn::Max(max0, bits(i));
        max1 = hn::Max(max1, bits(i + lanes));
        max2 = hn::Max(max2, bits(i + 2 * lanes));
        max3 = hn::Max(max3, bits(i + 3 * lanes));
    }
    for (; i + lanes <= count; i += lanes)
        max0 = hn::Max(max0, bits(i));
    int32_t best = hn::GetLane(hn::MaxOfLanes(di, hn::Max(hn::Max(max0, max1), hn::Max(max2, max3))));
    for (; i < count; i++) {
        int32_t last;
        std::memcpy(&last, x + i, 4);
        last &= 0x7fffffff;
        if (last > best) best = last;
    }
    float result;
    std::memcpy(&result, &best, 4);
    return result;
}

void multiply_by(float * x, const float * factors, size_t count) {
    const hn::ScalableTag<float> d;
    size_t i = 0;
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d))
        hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, factors + i)), d, x + i);
    for (; i < count; i++)
        x[i] *= factors[i];
}

// In f32 in lanes: good to a few ulp for rows of tens of thousands of values.
float squares(const float * x, size_t count) {
    const hn::ScalableTag<float> d;
    const size_t lanes = hn::Lanes(d);
    auto sum0 = hn::Zero(d), sum1 = sum0;
    size_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
        const auto a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
        sum0 = hn::MulAdd(a, a, sum0);
        sum1 = hn::MulAdd(b, b, sum1);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

using tag_f32 = hn::CappedTag<float, 16>;
using vec_f32 = hn::Vec<tag_f32>;
using tag_i8x16 = hn::FixedTag<int8_t, 16>;

// The values between LEAST and MOST, 0 for NaN.
template <int LEAST, int MOST> HWY_INLINE vec_f32 limited(vec_f32 v) {
    const tag_f32 d;
    v = hn::IfThenElseZero(hn::Eq(v, v), v);
    return hn::Min(hn::Max(v, hn::Set(d, float(LEAST))), hn::Set(d, float(MOST)));
}

// The nearest integers, ties to even, of values whose codes lie in LEAST .. MOST; NaN gives 0. NEON's conversion
// saturates and knows NaN, so there the codes are cut after narrowing, 16 at a time.
template <int LEAST, int MOST> HWY_INLINE hn::Vec<hn::RebindToSigned<tag_f32>> nearest(vec_f32 v) {
    return hn::NearestInt(HWY_TARGET == HWY_NEON ? v : limited<LEAST, MOST>(v));
}

// Codes of COUNT values, at least one vector of them.
template <int LEAST, int MOST, size_t COUNT>
HWY_INLINE hn::Vec<hn::FixedTag<int8_t, COUNT>> narrow_codes(const float * x, vec_f32 factor) {
    const tag_f32 d;
    const hn::FixedTag<int8_t, COUNT> d8;
    const auto integers = [&](size_t i) HWY_ATTR { return nearest<LEAST, MOST>(hn::Mul(hn::LoadU(d, x + i), factor)); };
    if constexpr (COUNT == hn::MaxLanes(d)) {
        return hn::DemoteTo(d8, integers(0));
    } else if constexpr (COUNT == 8 && hn::MaxLanes(d) == 4) {
        const hn::FixedTag<int16_t, 8> d16;
        return hn::DemoteTo(d8, hn::ReorderDemote2To(d16, integers(0), integers(4))); // 16-byte vectors keep the order
    } else {
        return hn::Combine(d8, narrow_codes<LEAST, MOST, COUNT / 2>(x + COUNT / 2, factor),
                           narrow_codes<LEAST, MOST, COUNT / 2>(x, factor));
    }
}

// 16 codes in LEAST .. MOST.
template <int LEAST, int MOST> HWY_INLINE hn::Vec<tag_i8x16> codes_of(const float * x, vec_f32 factor) {
    auto codes = narrow_codes<LEAST, MOST, 16>(x, factor);
#if HWY_TARGET == HWY_NEON
    const tag_i8x16 d8;
    codes = hn::Max(codes, hn::Set(d8, LEAST));
    if (MOST < 127) codes = hn::Min(codes, hn::Set(d8, MOST));
#endif
    return codes;
}

#if HWY_TARGET == HWY_AVX2

// 32 codes at once: narrowing leaves the codes in groups of four out of order, and one permutation puts them right. By
// hand, for Highway 1.0.3 has no narrowing of two vectors to bytes, and its conversion minds values out of range: half
// the instructions of the general code (scripts/kernel-instructions.sh).
HWY_INLINE hn::Vec<hn::FixedTag<int8_t, 32>> codes_of_two_cells(const float * x, vec_f32 factor) {
    const hn::FixedTag<int8_t, 32> d8;
    const hn::FixedTag<int16_t, 16> d16;
    const hn::FixedTag<int32_t, 8> d32;
    alignas(32) static constexpr int32_t order[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    const auto integers = [&](size_t i) HWY_ATTR {
        const auto v = limited<-127, 127>(hn::Mul(hn::LoadU(tag_f32(), x + i), factor));
        return hn::Vec<decltype(d32)>{_mm256_cvtps_epi32(v.raw)};
    };
    const auto low = hn::ReorderDemote2To(d16, integers(0), integers(8));
    const auto high = hn::ReorderDemote2To(d16, integers(16), integers(24));
    const hn::Vec<decltype(d32)> codes{_mm256_packs_epi16(low.raw, high.raw)};
    return hn::BitCast(d8, hn::TableLookupLanes(codes, hn::SetTableIndices(d32, order)));
}

#endif

void quantize_i8(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const auto factor = hn::Set(tag_f32(), inverse_scale);
    const float * const end = x + count;
#if HWY_TARGET == HWY_AVX2
    for (; end - x >= 32; x += 32, cells += 2 * cell_stride) {
        const auto codes = codes_of_two_cells(x, factor);
        hn::StoreU(hn::LowerHalf(codes), tag_i8x16(), reinterpret_cast<int8_t *>(cells));
        hn::StoreU(hn::UpperHalf(tag_i8x16(), codes), tag_i8x16(), reinterpret_cast<int8_t *>(cells + cell_stride));
    }
#endif
    for (; x != end; x += 16, cells += cell_stride)
        hn::StoreU(codes_of<-127, 127>(x, factor), tag_i8x16(), reinterpret_cast<int8_t *>(cells));
}

// 32 codes as the bytes of one cell, the even of two codes in the low nibble.
#if HWY_TARGET == HWY_NEON

// By hand: a shift that inserts does the work of two masks, a shift and an or. With the general code below the kernel
// takes 15 % more cycles (scripts/kernel-cycles.sh).
HWY_INLINE hn::Vec<hn::FixedTag<uint8_t, 16>> nibbles_of(hn::Vec<tag_i8x16> low, hn::Vec<tag_i8x16> high) {
    const int8x16_t even = vuzp1q_s8(low.raw, high.raw), odd = vuzp2q_s8(low.raw, high.raw);
    return hn::BitCast(hn::FixedTag<uint8_t, 16>(), hn::Vec<tag_i8x16>(vsliq_n_s8(even, odd, 4)));
}

#else

// Two codes are the 16-bit number even + 256 * odd.
HWY_INLINE hn::Vec<hn::FixedTag<uint8_t, 8>> nibbles_of(hn::Vec<tag_i8x16> codes) {
    const hn::FixedTag<int16_t, 8> d16;
    const hn::FixedTag<uint8_t, 8> d8;
    const auto pairs = hn::BitCast(d16, codes);
    const auto even = hn::And(pairs, hn::Set(d16, 0x000f));
    return hn::DemoteTo(d8, hn::Or(even, hn::And(hn::ShiftRight<4>(pairs), hn::Set(d16, 0x00f0))));
}

HWY_INLINE hn::Vec<hn::FixedTag<uint8_t, 16>> nibbles_of(hn::Vec<tag_i8x16> low, hn::Vec<tag_i8x16> high) {
    return hn::Combine(hn::FixedTag<uint8_t, 16>(), nibbles_of(high), nibbles_of(low));
}

#endif

void quantize_i4(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const auto factor = hn::Set(tag_f32(), inverse_scale);
    for (const float * end = x + count; x != end; x += 32, cells += cell_stride) {
        const auto low = codes_of<-8, 7>(x, factor), high = codes_of<-8, 7>(x + 16, factor);
        hn::StoreU(nibbles_of(low, high), hn::FixedTag<uint8_t, 16>(), cells);
    }
}

// The low nibble of a code is its low digit; adding half the radix first rounds the high one.
void quantize_i4_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const tag_i8x16 d8;
    const auto factor = hn::Set(tag_f32(), inverse_scale);
    const auto high = [&](hn::Vec<tag_i8x16> codes)
                          HWY_ATTR { return hn::ShiftRight<4>(hn::Add(codes, hn::Set(d8, 8))); };
    for (const float * end = x + count; x != end; x += 32, cells += cell_stride) {
        const auto first = codes_of<-119, 119>(x, factor), second = codes_of<-119, 119>(x + 16, factor);
        hn::StoreU(nibbles_of(high(first), high(second)), hn::FixedTag<uint8_t, 16>(), cells);
        hn::StoreU(nibbles_of(first, second), hn::FixedTag<uint8_t, 16>(), cells + 16);
    }
}

#if HWY_TARGET == HWY_NEON

// A cell of both digits at a time, on conversions that saturate and know NaN: a third of the cycles of the general code
// below (scripts/kernel-cycles.sh). The low byte of a code is its low digit, of code + 128 the high byte the high one.
void quantize_i8_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const tag_f32 d;
    const hn::FixedTag<int16_t, 8> d16;
    const tag_i8x16 d8;
    const auto factor = hn::Set(d, inverse_scale);
    const auto limit = hn::Set(d16, 127 * 256 + 127);
    const auto codes_at = [&](const float * from) HWY_ATTR {
        const auto codes = hn::ReorderDemote2To(d16, hn::NearestInt(hn::Mul(hn::LoadU(d, from), factor)),
                                                hn::NearestInt(hn::Mul(hn::LoadU(d, from + 4), factor)));
        return hn::Min(hn::Max(codes, hn::Neg(limit)), limit);
    };
    const auto bytes = [&](hn::Vec<decltype(d16)> v) HWY_ATTR { return hn::BitCast(d8, v).raw; };
    const auto half = hn::Set(d16, 128);
    for (const float * end = x + count; x != end; x += 16, cells += cell_stride) {
        const auto first = codes_at(x), second = codes_at(x + 8);
        vst1q_s8(reinterpret_cast<int8_t *>(cells),
                 vuzp2q_s8(bytes(hn::Add(first, half)), bytes(hn::Add(second, half))));
        vst1q_s8(reinterpret_cast<int8_t *>(cells + 16), vuzp1q_s8(bytes(first), bytes(second)));
    }
}

#else

void quantize_i8_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const hn::CappedTag<float, 8> d;
    const hn::Rebind<int16_t, decltype(d)> d16;
    const hn::Rebind<int8_t, decltype(d)> d8;
    const auto factor = hn::Set(d, inverse_scale), limit = hn::Set(d, 127.0f * 256 + 127);
    for (const float * end = x + count; x != end; x += 16, cells += cell_stride) {
        for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
            auto v = hn::Mul(hn::LoadU(d, x + i), factor);
            v = hn::IfThenElseZero(hn::Eq(v, v), v);
            const auto codes = hn::DemoteTo(d16, hn::NearestInt(hn::Min(hn::Max(v, hn::Neg(limit)), limit)));
            const auto high = hn::ShiftRight<8>(hn::Add(codes, hn::Set(d16, 128)));
            const auto low = hn::ShiftRight<8>(hn::ShiftLeft<8>(codes));
            hn::StoreU(hn::DemoteTo(d8, high), d8, reinterpret_cast<int8_t *>(cells + i));
            hn::StoreU(hn::DemoteTo(d8, low), d8, reinterpret_cast<int8_t *>(cells + 16 + i));
        }
    }
}

#endif

void quantize_codes(const float * x, float inverse_scale, int limit, size_t count, int8_t * codes) {
    const hn::CappedTag<float, 8> d;
    const hn::Rebind<int8_t, decltype(d)> d8;
    const auto most = hn::Set(d, float(limit)), least = hn::Set(d, -float(limit) - 1);
    const auto nearest_code = [&](const float * from) HWY_ATTR {
        auto v = hn::Mul(hn::LoadU(d, from), hn::Set(d, inverse_scale));
        v = hn::IfThenElseZero(hn::Eq(v, v), v);
        return hn::DemoteTo(d8, hn::NearestInt(hn::Min(hn::Max(v, least), most)));
    };
    size_t i = 0;
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d))
        hn::StoreU(nearest_code(x + i), d8, codes + i);
    if (i == count) return;
    float rest[8] = {};
    int8_t rest_codes[8];
    std::memcpy(rest, x + i, (count - i) * sizeof(float));
    hn::StoreU(nearest_code(rest), d8, rest_codes);
    std::memcpy(codes + i, rest_codes, count - i);
}

// Adjacent cells, as one decoded token has them, are one row of f16 for vectors wider than a cell.
void quantize_f16(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const tag_f32 d;
    size_t i = 0;
    if (hn::MaxLanes(d) > 8 && cell_stride == 16) {
        const auto factor = hn::Set(d, inverse_scale);
        for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d))
            f16::store(hn::Mul(hn::LoadU(d, x + i), factor), d, reinterpret_cast<uint16_t *>(cells + 2 * i));
        cells += 2 * i;
    }
    const hn::CappedTag<float, 8> dc;
    const auto factor = hn::Set(dc, inverse_scale);
    for (; i < count; i += 8, cells += cell_stride) {
#pragma GCC unroll 2
        for (size_t j = 0; j < 8; j += hn::Lanes(dc))
            f16::store(hn::Mul(hn::LoadU(dc, x + i + j), factor), dc, reinterpret_cast<uint16_t *>(cells + 2 * j));
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(max_magnitude);
HWY_EXPORT(squares);
HWY_EXPORT(multiply_by);
HWY_EXPORT(quantize_i8);
HWY_EXPORT(quantize_i4);
HWY_EXPORT(quantize_f16);
HWY_EXPORT(quantize_i8_digits);
HWY_EXPORT(quantize_i4_digits);
HWY_EXPORT(quantize_codes);

float absmax(const float * x, size_t count) {
    return HWY_DYNAMIC_DISPATCH(max_magnitude)(x, count);
}

void multiply(float * x, const float * factors, size_t count) {
    HWY_DYNAMIC_DISPATCH(multiply_by)(x, factors, count);
}

float sum_squares(const float * x, size_t count) {
    return HWY_DYNAMIC_DISPATCH(squares)(x, count);
}

void quantize_f32_i8(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_i8)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_i4(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_i4)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_f16(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_f16)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_i8_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_i8_digits)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_i4_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_i4_digits)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_codes(const float * x, float inverse_scale, int limit, size_t count, int8_t * codes) {
    HWY_DYNAMIC_DISPATCH(quantize_codes)(x, inverse_scale, limit, count, codes);
}

} // namespace rknpu::kernels
#endif
