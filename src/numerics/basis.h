// The coordinates in which a product is quantized: balanced columns, then rotated blocks.
//
// Invariant: weight rows and activation rows change in opposite ways, so in exact arithmetic their products stay what
// they are: w . x = R(w / v) . R(v x), R orthonormal.
#pragma once

#include "numerics/rotation.h"

#include <cstddef>
#include <vector>

namespace rknpu {

struct basis {
    rotation rotate;
    std::vector<float> balance; // v, one factor > 0 per column; empty: all 1

    // Change a row of K f32 values in place.
    void to_activation(float * row, size_t K) const;
    void to_weight(float * row, size_t K) const;
    // Undoes to_weight.
    void from_weight(float * row, size_t K) const;
};

} // namespace rknpu
