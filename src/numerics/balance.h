// Balancing: one factor per input channel, moved from the weight to the activation before both are rounded.
//
// A channel whose weights are small and whose activation is large (an outlier channel) spoils the scale of both. With
// v multiplied into the activation and divided out of the weights, the sum of both rounding errors, spread by the
// rotation, is proportional to (sum w_k^2 / v_k^2) (sum v_k^2 x_k^2), w_k and x_k the root mean squares of a channel:
// least for v_k^2 = w_k / x_k. Without any knowledge of x only channels are balanced whose weights are far from the
// others: there x_k is the inverse, or the channel would speak for all.
//
// Invariant: factors are finite, > 0 and have a geometric mean of 1; a channel whose weights are all zero gets the
// middle one. Where all would be alike there are none, and nobody need multiply.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace rknpu {

// Delivers row n of a weight as K f32 values. Called from several threads.
using row_source = std::function<void(size_t n, float * row)>;

struct weight_rows {
    row_source rows;
    size_t N;
};

// The factors of K columns for weights that read the same activation. mean_squares: of each column of the activation;
// empty: unknown.
std::vector<float> balance_columns(const std::vector<weight_rows> & weights, size_t K,
                                   const std::vector<float> & mean_squares);

} // namespace rknpu
