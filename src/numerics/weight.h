// Weight rows to codes: one scale per output channel (row) and K segment.
//
// Invariant: weight[n][k] ~ scale[n] * code[n][k] in the plan's basis, |code| never beyond the format's range.
#pragma once

#include "numerics/basis.h"
#include "numerics/error-feedback.h"
#include "numerics/scale-search.h"
#include "plan/plan.h"

#include <cstddef>
#include <cstdint>

namespace rknpu {

// Counts what changes codes or scales of the same source with the same plan: packed weights of another version are not
// used (backend/group-on-disk.h). To be raised with every such change; conversion-version-test.cpp notices them.
constexpr int conversion_version = 2;

// Where a weight's codes and scales go.
struct packed_target {
    uint8_t * const * native; // native[i]: start of segment i's packed weight (all slices in a row)
    float * scales;           // scales[i * plan.N + n]: scale of row n in segment i
};

// How values become codes.
struct rounding {
    scale_method search = scale_method::mse;
    // What is known of the activation, in the basis; nothing by default.
    const float * importance = nullptr;        // mean square of each of the K columns
    const error_feedback * feedback = nullptr; // the errors of a column are made good by the later ones
};

enum class packing {
    done,
    not_finite, // the source holds a NaN or an infinity: nothing is packed
    overflows,  // a row's codes could overflow the accumulator: the plan's segments must be shorter
};

// Quantizes n_rows rows from row n on and packs them. rows: K f32 values each, stride apart, changed by the basis.
// Different rows may be packed by several threads at once.
packing pack_weight_rows(const matmul_plan & plan, const basis & in, const rounding & how, size_t n, size_t n_rows,
                         float * rows, size_t stride, const packed_target & target);

// The way back, for reading a weight out of the NPU: row n as K f32 values, the basis undone. Exact for w16a16 sources
// that f16 can hold; otherwise what the codes stand for.
void unpack_weight_row(const matmul_plan & plan, const basis & in, size_t n, const uint8_t * const * native,
                       const float * scales, float * row);

} // namespace rknpu
