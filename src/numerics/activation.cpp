// See activation.h.
#include "numerics/activation.h"

#include "kernels/kernels.h"
#include "numerics/scale.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace rknpu {

namespace {

using quantizer = void (*)(const float *, float, size_t, uint8_t *, size_t);

quantizer quantizer_of(const format_traits & f) {
    switch (f.type) {
    case element::f16:
        return kernels::quantize_f32_f16;
    case element::i8:
        return f.digits == 1 ? kernels::quantize_f32_i8 : kernels::quantize_f32_i8_digits;
    case element::i4:
        return f.digits == 1 ? kernels::quantize_f32_i4 : kernels::quantize_f32_i4_digits;
    }
    return nullptr;
}

// A row that was not rotated is clipped nowhere: its largest values may be all that matters.
row_scale activation_scale(const matmul_plan & plan, const float * row, float absmax) {
    const format_traits & f = plan.traits();
    if (!f.is_integer()) return f16_scale(absmax);
    if (f.activation_clip == 0 || plan.rotation_block == 0) return integer_scale(absmax, f.activation_limit);
    const float rms = std::sqrt(kernels::sum_squares(row, plan.K) / float(plan.K));
    const float clip = f.activation_clip * rms; // infinite where squares are
    return integer_scale(std::isfinite(clip) ? std::min(absmax, clip) : absmax, f.activation_limit);
}

} // namespace

float quantize_activation_row(const matmul_plan & plan, const basis & in, float * row, uint8_t * const * cells,
                              size_t cell_stride) {
    in.to_activation(row, plan.K);
    const float absmax = kernels::absmax(row, plan.K);
    const bool finite = std::isfinite(absmax);
    const row_scale s = finite ? activation_scale(plan, row, absmax) : row_scale{0, 0};
    const k_segment & last = plan.segments.back();
    std::memset(row + plan.K, 0, (last.K_padded - last.K) * sizeof(float));
    if (!finite) std::memset(row, 0, plan.K * sizeof(float));
    const quantizer quantize = quantizer_of(plan.traits());
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        quantize(row + segment.k_begin, s.inverse, segment.K_padded, cells[i], cell_stride);
    }
    return finite ? s.scale : std::numeric_limits<float>::quiet_NaN();
}

} // namespace rknpu
