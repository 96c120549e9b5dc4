// Weight rows to codes: one scale per output channel (row) and K segment.
//
// Invariant: weight[n][k] ~ scale[n] * code[n][k] after rotation, |code| never beyond the format's range.
#pragma once

#include "numerics/rotation.h"
#include "plan/plan.h"

#include <cstddef>
#include <cstdint>

namespace rknpu {

// Quantizes row n of a weight and packs it. row: K f32 values, changed by the rotation. native[i]: start of segment i's
// packed weight (all slices in a row). scales[i * plan.N + n] receives the scale of segment i.
// Rows may be packed by several threads at once. Returns false if the row holds a NaN or an infinity (nothing is
// packed).
bool pack_weight_row(const matmul_plan & plan, const rotation & rotate, size_t n, float * row, uint8_t * const * native,
                     float * scales);

// The way back, for reading a weight out of the NPU: row n as K f32 values, rotation undone. Exact for w16a16 sources
// that f16 can hold; otherwise what the codes stand for.
void unpack_weight_row(const matmul_plan & plan, const rotation & rotate, size_t n, const uint8_t * const * native,
                       const float * scales, float * row);

} // namespace rknpu
