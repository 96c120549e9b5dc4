// Activation rows to native cells: balance, rotate, choose one scale per token, quantize. Runs on every token.
#pragma once

#include "numerics/basis.h"
#include "plan/plan.h"

#include <cstddef>
#include <cstdint>

namespace rknpu {

// Quantizes one token's activation into every K segment's staging.
// row: K f32 values, changed by the basis; it must have room for the last segment's padding, which is set to zero.
// cells[i]: address of this row's first cell in segment i's staging, two digits in the cells of two consecutive rows;
// cell_stride = 16 * M of that job. Returns the row's scale: 0 for an all-zero row, NaN if the row holds a NaN or an
// infinity, here or after the basis: then the codes are zero, and what is made of them is NaN.
float quantize_activation_row(const matmul_plan & plan, const basis & in, float * row, uint8_t * const * cells,
                              size_t cell_stride);

} // namespace rknpu
