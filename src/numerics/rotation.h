// Rotation along K: a randomized block Hadamard transform that spreads outliers before rounding.
//
// Invariant: the transform is orthonormal and applied to weight rows and activation rows alike, so in exact arithmetic
// the product does not change. K is never padded: the block is a power of two that divides K.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rknpu {

struct rotation {
    size_t block = 0;           // 0: none
    std::vector<uint8_t> signs; // one bit per column, set = minus

    // Rotates one row of K f32 values in place, K = the count given to make_rotation.
    void apply(float * row, size_t K) const;
    // The way back.
    void undo(float * row, size_t K) const;
};

// The rotation of K columns in blocks; the signs depend on (K, seed) only, on every platform.
rotation make_rotation(size_t K, size_t block, uint64_t seed);

} // namespace rknpu
