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

void quantize_i8(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const hn::CappedTag<float, 16> d;
    const hn::Rebind<int8_t, decltype(d)> d8;
    const auto factor = hn::Set(d, inverse_scale);
    const auto limit = hn::Set(d, 127.0f);
    for (size_t i = 0; i < count; i += 16, cells += cell_stride) {
        for (size_t j = 0; j < 16; j += hn::Lanes(d)) {
            auto v = hn::Mul(hn::LoadU(d, x + i + j), factor);
            v = hn::IfThenElseZero(hn::Eq(v, v), v); // NaN has no integer
            v = hn::Min(hn::Max(v, hn::Neg(limit)), limit);
            hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(v)), d8, reinterpret_cast<int8_t *>(cells + j));
        }
    }
}

void quantize_f16(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    const hn::CappedTag<float, 8> d;
    const auto factor = hn::Set(d, inverse_scale);
    for (size_t i = 0; i < count; i += 8, cells += cell_stride) {
        for (size_t j = 0; j < 8; j += hn::Lanes(d)) {
            f16::store(hn::Mul(hn::LoadU(d, x + i + j), factor), d, reinterpret_cast<uint16_t *>(cells + 2 * j));
        }
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(max_magnitude);
HWY_EXPORT(quantize_i8);
HWY_EXPORT(quantize_f16);

float absmax(const float * x, size_t count) {
    return HWY_DYNAMIC_DISPATCH(max_magnitude)(x, count);
}

void quantize_f32_i8(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_i8)(x, inverse_scale, count, cells, cell_stride);
}

void quantize_f32_f16(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride) {
    HWY_DYNAMIC_DISPATCH(quantize_f16)(x, inverse_scale, count, cells, cell_stride);
}

} // namespace rknpu::kernels
#endif
