// See activation.h.
#include "numerics/activation.h"

#include "kernels/kernels.h"
#include "numerics/scale.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace rknpu {

float quantize_activation_row(const matmul_plan & plan, const rotation & rotate, float * row, uint8_t * const * cells,
                              size_t cell_stride) {
    rotate.apply(row, plan.K);
    const float absmax = kernels::absmax(row, plan.K);
    const bool finite = std::isfinite(absmax);
    const row_scale s = finite ? choose_scale(plan.numeric_format, absmax) : row_scale{0, 0};
    const k_segment & last = plan.segments.back();
    std::memset(row + plan.K, 0, (last.K_padded - last.K) * sizeof(float));
    if (!finite) std::memset(row, 0, plan.K * sizeof(float));
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        const float * x = row + segment.k_begin;
        if (plan.numeric_format == format::w16a16) {
            kernels::quantize_f32_f16(x, s.inverse, segment.K_padded, cells[i], cell_stride);
        } else {
            kernels::quantize_f32_i8(x, s.inverse, segment.K_padded, cells[i], cell_stride);
        }
    }
    return finite ? s.scale : std::numeric_limits<float>::quiet_NaN();
}

} // namespace rknpu
