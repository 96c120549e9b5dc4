// Rounding with error feedback inside one group of columns, many weight rows side by side.
//
// Invariant: one rounding, to nearest even, of target * inverse; the errors that are fed on are those of the weights,
// not of the targets.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/round-feedback.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tag = hn::CappedTag<float, 16>;
using vec = hn::Vec<tag>;

void round_columns(const float * weights, const float * targets, const float * share, const float * const * scale,
                   const float * const * inverse, int limit, size_t width, float * errors, int8_t * codes) {
    const tag d;
    const hn::RebindToSigned<tag> d32;
    const hn::Rebind<int8_t, tag> d8;
    const auto most = hn::Set(d, float(limit)), least = hn::Set(d, -float(limit) - 1);
    for (size_t j = 0; j < width; j += hn::Lanes(d)) {
        vec error[outer_rows];
#pragma GCC unroll 8
        for (size_t k = 0; k < outer_rows; k++) {
            vec target = hn::LoadU(d, targets + k * width + j);
#pragma GCC unroll 8
            for (size_t i = 0; i < k; i++)
                target = hn::MulAdd(hn::Set(d, share[i * outer_rows + k]), error[i], target);
            const vec code = hn::Round(hn::Min(hn::Max(hn::Mul(target, hn::LoadU(d, inverse[k] + j)), least), most));
            error[k] = hn::NegMulAdd(code, hn::LoadU(d, scale[k] + j), hn::LoadU(d, weights + k * width + j));
            hn::StoreU(error[k], d, errors + k * width + j);
            hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(d32, code)), d8, codes + k * width + j);
        }
    }
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(round_columns);

void round_with_feedback(const float * weights, const float * targets, const float * share, const float * const * scale,
                         const float * const * inverse, int limit, size_t width, float * errors, int8_t * codes) {
    HWY_DYNAMIC_DISPATCH(round_columns)
    (weights, targets, share, scale, inverse, limit, width, errors, codes);
}

} // namespace rknpu::kernels
#endif
