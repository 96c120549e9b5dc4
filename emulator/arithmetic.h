// The product of one job on native operands, split over the pool of workers.
//
// Semantics: i8 exact in i32. f16 products and sums in f32; f16 output rounds once to nearest even and overflows to
// infinity. i4 sums in i32 and then saturates to i16, or as RKNN_EMU_I4_OVERFLOW says. i8 output is the sum times the
// scales, rounded to nearest even and clamped. Not modelled: the chip's order and width of f16 sums, its treatment of
// denormals, and rounding of type 3; see docs/emulator.md.
#pragma once

#include "layouts.h"

#include <vector>

namespace rknn_emu {

// Buffers of a context that jobs reuse; one job at a time.
struct job_scratch {
    std::vector<uint8_t> sum;     // accumulators when C is not in the accumulator's type or layout
    std::vector<uint8_t> segment; // product of one further segment of K
    std::vector<uint8_t> narrow;  // C in native layout when the accumulator is wider than C and C is NORM
};

struct job {
    const shape * s;
    const uint8_t * a; // native
    const uint8_t * b; // native, segmented
    uint8_t * c;
    bool c_norm; // layout of c
    float scale; // type 3: scale_A * scale_B / scale_C
    job_scratch * scratch;
};

void multiply(const job & j);

} // namespace rknn_emu
