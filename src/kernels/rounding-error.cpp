// What is left of a row after rounding at one scale: the inner loop of the search for a scale.
//
// Invariant: the codes are those of quantize_f32_codes: one rounding, to nearest even. Sums are f32 in
// lanes over runs of values, then f64, so bits may differ between instruction sets.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rounding-error.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tag = hn::ScalableTag<float>;
using vec = hn::Vec<tag>;

constexpr size_t run = 4096; // values whose squares are summed in f32

// WEIGHTED: importance is not nullptr. count is a multiple of the vector length.
template <bool WEIGHTED>
code_moments moments_of_run(const float * x, const float * importance, vec inverse, int limit, size_t count) {
    const tag d;
    const size_t lanes = hn::Lanes(d);
    const vec most = hn::Set(d, float(limit)), least = hn::Set(d, -float(limit) - 1);
    vec xq0 = hn::Zero(d), xq1 = xq0, qq0 = xq0, qq1 = xq0;
    const auto add = [&](size_t i, vec & xq, vec & qq) HWY_ATTR {
        const vec value = hn::LoadU(d, x + i);
        const vec code = hn::Round(hn::Min(hn::Max(hn::Mul(value, inverse), least), most));
        const vec weighted = WEIGHTED ? hn::Mul(code, hn::LoadU(d, importance + i)) : code;
        xq = hn::MulAdd(value, weighted, xq);
        qq = hn::MulAdd(code, weighted, qq);
    };
    size_t i = 0;
    for (; i + 2 * lanes <= count; i += 2 * lanes) {
        add(i, xq0, qq0);
        add(i + lanes, xq1, qq1);
    }
    if (i < count) add(i, xq0, qq0);
    return {double(hn::GetLane(hn::SumOfLanes(d, hn::Add(xq0, xq1)))),
            double(hn::GetLane(hn::SumOfLanes(d, hn::Add(qq0, qq1))))};
}

code_moments sum_moments(const float * x, const float * importance, float inverse, int limit, size_t count) {
    const tag d;
    const size_t whole = count / hn::Lanes(d) * hn::Lanes(d);
    const vec factor = hn::Set(d, inverse);
    code_moments sum = {0, 0};
    const auto add_run = [&](const float * values, const float * weights, size_t n) HWY_ATTR {
        const code_moments part = weights ? moments_of_run<true>(values, weights, factor, limit, n)
                                          : moments_of_run<false>(values, nullptr, factor, limit, n);
        sum.xq += part.xq;
        sum.qq += part.qq;
    };
    for (size_t i = 0; i < whole; i += run)
        add_run(x + i, importance ? importance + i : nullptr, std::min(run, whole - i));
    if (whole < count) { // the last vector, filled up with zeros
        HWY_ALIGN float values[hn::MaxLanes(d)] = {}, weights[hn::MaxLanes(d)] = {};
        std::copy(x + whole, x + count, values);
        if (importance) std::copy(importance + whole, importance + count, weights);
        add_run(values, importance ? weights : nullptr, hn::Lanes(d));
    }
    return sum;
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(sum_moments);

code_moments sum_code_moments(const float * x, const float * importance, float inverse, int limit, size_t count) {
    return HWY_DYNAMIC_DISPATCH(sum_moments)(x, importance, inverse, limit, count);
}

} // namespace rknpu::kernels
#endif
