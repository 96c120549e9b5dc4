// See weight.h. A row becomes codes, one after the other, which are then copied to their places in the tiles.
#include "numerics/weight.h"

#include "kernels/kernels.h"
#include "layout/layout.h"
#include "numerics/scale.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
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

weight_layout layout_of(const matmul_plan & plan, const k_segment & segment) {
    return {plan.soc->tile(plan.type()), plan.N_padded(), segment.K_padded};
}

void pack_f16_segment(const matmul_plan & plan, size_t i, size_t n, const float * row, const packed_target & target) {
    const k_segment & segment = plan.segments[i];
    // The kernel writes whole cells of 8 halfs.
    thread_local std::vector<float> padded;
    thread_local std::vector<uint16_t> halfs;
    padded.assign(segment.K_padded, 0.0f);
    halfs.resize(segment.K_padded);
    std::memcpy(padded.data(), row + segment.k_begin, segment.K * sizeof(float));
    const row_scale s = f16_scale(kernels::absmax(padded.data(), segment.K));
    target.scales[i * plan.N + n] = s.scale;
    kernels::quantize_f32_f16(padded.data(), s.inverse, segment.K_padded, reinterpret_cast<uint8_t *>(halfs.data()),
                              16);
    pack_weight_row_f16(layout_of(plan, segment), n, halfs.data(), segment.K, target.native[i]);
}

int code_sum(const int8_t * codes, size_t count) {
    int sum = 0;
    for (size_t k = 0; k < count; k++)
        sum += std::abs(codes[k]);
    return sum;
}

// False if the codes could overflow the accumulator.
bool pack_integer_segment(const matmul_plan & plan, size_t i, size_t n, const int8_t * codes,
                          const packed_target & target) {
    const k_segment & segment = plan.segments[i];
    const int8_t * of_segment = codes + segment.k_begin;
    const int limit = plan.traits().code_sum_max;
    if (limit > 0 && code_sum(of_segment, segment.K) > limit) return false;
    const auto pack = plan.type() == element::i4 ? pack_weight_row_i4 : pack_weight_row_i8;
    pack(layout_of(plan, segment), n, of_segment, segment.K, target.native[i]);
    return true;
}

// One scale per row and segment: scales[i * n_rows + r].
std::vector<row_scale> choose_scales(const matmul_plan & plan, const rounding & how, size_t n_rows, const float * rows,
                                     size_t stride) {
    std::vector<row_scale> scales(plan.segments.size() * n_rows);
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        const float * importance = how.importance ? how.importance + segment.k_begin : nullptr;
        for (size_t r = 0; r < n_rows; r++)
            scales[i * n_rows + r] = search_scale(how.search, rows + r * stride + segment.k_begin, importance,
                                                  segment.K, plan.traits().weight_limit);
    }
    return scales;
}

void round_rows(const matmul_plan & plan, const rounding & how, const std::vector<row_scale> & scales, size_t n_rows,
                const float * rows, size_t stride, int8_t * codes) {
    const int limit = plan.traits().weight_limit;
    if (how.feedback) {
        how.feedback->quantize(rows, n_rows, stride, plan.segments, scales.data(), limit, codes);
        return;
    }
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        for (size_t r = 0; r < n_rows; r++)
            kernels::quantize_f32_codes(rows + r * stride + segment.k_begin, scales[i * n_rows + r].inverse, limit,
                                        segment.K, codes + r * plan.K + segment.k_begin);
    }
}

packing pack_integer_rows(const matmul_plan & plan, const rounding & how, size_t n, size_t n_rows, const float * rows,
                          size_t stride, const packed_target & target) {
    const std::vector<row_scale> scales = choose_scales(plan, how, n_rows, rows, stride);
    std::vector<int8_t> codes(n_rows * plan.K);
    round_rows(plan, how, scales, n_rows, rows, stride, codes.data());
    bool fits = true;
    for (size_t i = 0; i < plan.segments.size(); i++) {
        for (size_t r = 0; r < n_rows; r++) {
            target.scales[i * plan.N + n + r] = scales[i * n_rows + r].scale;
            fits = pack_integer_segment(plan, i, n + r, codes.data() + r * plan.K, target) && fits;
        }
    }
    return fits ? packing::done : packing::overflows;
}

} // namespace

packing pack_weight_rows(const matmul_plan & plan, const basis & in, const rounding & how, size_t n, size_t n_rows,
                         float * rows, size_t stride, const packed_target & target) {
    for (size_t r = 0; r < n_rows; r++) {
        if (!std::isfinite(kernels::absmax(rows + r * stride, plan.K))) return packing::not_finite;
        in.to_weight(rows + r * stride, plan.K);
    }
    if (plan.traits().is_integer()) return pack_integer_rows(plan, how, n, n_rows, rows, stride, target);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < plan.segments.size(); i++)
            pack_f16_segment(plan, i, n + r, rows + r * stride, target);
    }
    return packing::done;
}

void unpack_weight_row(const matmul_plan & plan, const basis & in, size_t n, const uint8_t * const * native,
                       const float * scales, float * row) {
    std::vector<uint16_t> halfs;
    std::vector<int8_t> codes;
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const k_segment & segment = plan.segments[i];
        const float scale = scales[i * plan.N + n];
        float * out = row + segment.k_begin;
        if (plan.type() == element::f16) {
            halfs.resize(segment.K);
            unpack_weight_row_f16(layout_of(plan, segment), n, halfs.data(), segment.K, native[i]);
            std::transform(halfs.begin(), halfs.end(), out, [&](uint16_t half) { return scale * f16_to_f32(half); });
        } else {
            codes.resize(segment.K);
            const auto unpack = plan.type() == element::i4 ? unpack_weight_row_i4 : unpack_weight_row_i8;
            unpack(layout_of(plan, segment), n, codes.data(), segment.K, native[i]);
            std::transform(codes.begin(), codes.end(), out, [&](int8_t code) { return scale * float(code); });
        }
    }
    in.from_weight(row, plan.K);
}

} // namespace rknpu
