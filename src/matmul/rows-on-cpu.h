// Activation rows that no codes can hold, multiplied by the CPU: slow, and rare.
//
// A row with an infinity, or one that overflows on its way into the basis, has scale NaN, and all that the NPU makes of
// it is NaN. Its output is computed anew from the activation as it came and the weight as its codes have it, with the
// basis undone: infinities of the weights' signs, or NaN where they meet, as on a CPU.
// Invariant: a row with a NaN stays NaN, which is its product with any weight; all other outputs keep every bit.
#pragma once

#include "matmul/activation-stage.h"

namespace rknpu {

// Counts a row whose scale is NaN; the first one gets a line.
void note_not_finite(engine & npu, const matmul_plan & plan);

// The outputs of these rows: output row `target` at output + target * stride floats. Rows of one matrix are best given
// one after the other. Called by thread ith of nth, all of them, after everything else was written to the output.
void multiply_on_cpu(const packed_weight & weight, const activation_source & source, const std::vector<cpu_row> & rows,
                     float * output, size_t stride, int ith, int nth);

} // namespace rknpu
