// Error feedback where nothing is known of the activation: the weights tell which of its columns go together.
//
// What a weight learned is a sum of gradients times activations, so its rows lie where activations lie. Their second
// moments stand in for the activation's, with as much again on the diagonal, as they tell it dimly. Only columns of one
// block make each other's errors good, and a sample of the rows is enough: that keeps it as cheap as the search for
// scales. Measured here (emulated, docs/measurements/fidelity.md): w4a8 6 to 7 % and w8a16 12 to 16 % less.
//
// Invariant: the result depends on the weights alone, not on threads or time.
#pragma once

#include "numerics/balance.h"
#include "numerics/basis.h"
#include "numerics/error-feedback.h"

#include <vector>

namespace rknpu {

// For weights of K columns that read the same activation, in their basis. status: as error_feedback::make.
result<error_feedback> feedback_of_weights(const std::vector<weight_rows> & weights, size_t K, const basis & in);

} // namespace rknpu
