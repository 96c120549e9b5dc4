// Search for the scale of a weight row from the row alone: how much of its largest values to clip.
//
// Invariant: mse never errs more than absmax does, up to the rounding of f32 sums of squares. scale * inverse = 1.
#pragma once

#include "numerics/scale.h"

#include <cstddef>

namespace rknpu {

enum class scale_method {
    absmax, // the largest magnitude maps to limit: nothing is clipped
    mse,    // least squared error, each column weighted by its importance
    kl,     // least Kullback-Leibler divergence between the histograms of values and of rounded values
};

// The scale of `count` finite values with codes in -limit - 1 .. limit. It may be negative: the larger tail of the row
// then gets the code more. importance: of each value, >= 0 (the mean square of
// what it is multiplied with); nullptr: all alike.
row_scale search_scale(scale_method method, const float * x, const float * importance, size_t count, int limit);

} // namespace rknpu
