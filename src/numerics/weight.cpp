// See weight.h. A row is quantized by the same kernels as an activation row (one row: cells 16 bytes apart are simply
// consecutive codes), then copied to its place in the tiles.
#include "numerics/weight.h"

#include "kernels/kernels.h"
#include "layout/layout.h"
#include "numerics/scale.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace rknpu {

namespace {

float f16_to_f32(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) { // infinity, NaN
        const uint32_t bits = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
        float value;
        std::memcpy(&value, &bits, sizeof(value));
        return value;
    }
    const float value = std::ldexp(float(magnitude < 0x400 ? magnitude : (magnitude & 0x3ff) | 0x400),
                                   magnitude < 0x400 ? -24 : int(magnitude >> 10) - 25);
    return sign ? -value : value;
}

} // namespace

bool pack_weight_row(const matmul_plan & plan, const rotation & rotate, size_t n, float * row, uint8_t * const * native,
                     float * scales) {
    if (!std::isfinite(kernels::absmax(row, plan.K))) return false;
    rotate.apply(row, plan.K);
    constexpr size_t cell = 16;
    thread_local std::vector<float> padded;
    thread_local std::vector<uint8_t> codes;
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        padded.assign(segment.K_padded, 0.0f);
        std::memcpy(padded.data(), row + segment.k_begin, segment.K * sizeof(float));
        codes.resize(element_bytes(plan.type(), segment.K_padded));
        const row_scale s = choose_scale(plan.numeric_format, kernels::absmax(padded.data(), segment.K));
        scales[i * plan.N + n] = s.scale;
        const weight_layout layout(plan.soc->tile(plan.type()), plan.N_padded(), segment.K_padded);
        if (plan.numeric_format == format::w16a16) {
            kernels::quantize_f32_f16(padded.data(), s.inverse, segment.K_padded, codes.data(), cell);
            pack_weight_row_f16(layout, n, reinterpret_cast<const uint16_t *>(codes.data()), segment.K_padded,
                                native[i]);
        } else {
            kernels::quantize_f32_i8(padded.data(), s.inverse, segment.K_padded, codes.data(), cell);
            pack_weight_row_i8(layout, n, reinterpret_cast<const int8_t *>(codes.data()), segment.K_padded, native[i]);
        }
    }
    return true;
}

void unpack_weight_row(const matmul_plan & plan, const rotation & rotate, size_t n, const uint8_t * const * native,
                       const float * scales, float * row) {
    std::vector<uint16_t> halfs;
    std::vector<int8_t> bytes;
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        const float scale = scales[i * plan.N + n];
        const weight_layout layout(plan.soc->tile(plan.type()), plan.N_padded(), segment.K_padded);
        if (plan.numeric_format == format::w16a16) {
            halfs.resize(segment.K);
            unpack_weight_row_f16(layout, n, halfs.data(), segment.K, native[i]);
            for (size_t k = 0; k < segment.K; k++)
                row[segment.k_begin + k] = scale * f16_to_f32(halfs[k]);
        } else {
            bytes.resize(segment.K);
            unpack_weight_row_i8(layout, n, bytes.data(), segment.K, native[i]);
            for (size_t k = 0; k < segment.K; k++)
                row[segment.k_begin + k] = scale * float(bytes[k]);
        }
    }
    if (!rotate.block) return;
    // The inverse of y = H (s . x) is x = s . (H y): transform without signs, then flip them.
    const std::vector<uint8_t> plus(rotate.signs.size(), 0);
    kernels::hadamard_rows(row, plus.data(), plan.K, rotate.block);
    for (size_t k = 0; k < plan.K; k++) {
        if (rotate.signs[k / 8] >> (k % 8) & 1) row[k] = -row[k];
    }
}

} // namespace rknpu
