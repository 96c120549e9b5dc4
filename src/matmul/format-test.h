// A small product in one numeric format, through every step of real work (plan, load, quantize, jobs, outputs),
// against f32 arithmetic on the CPU.
//
// Invariant: what is allowed follows from the format's resolution alone; a result outside it is a defect of the
// runtime, the driver or this library.
#pragma once

#include "matmul/engine.h"

namespace rknpu {

struct format_outcome {
    double error;   // relative, root mean square
    double allowed; // for this format and these values
    bool on_npu;    // no job fell back to the CPU
    bool agrees;    // the NPU's accumulators are the CPU's; known under the setting check only, else true
};

// Takes the machine-wide lock. status: what planning or the runtime answered.
result<format_outcome> test_format(engine & npu, format f);

} // namespace rknpu
