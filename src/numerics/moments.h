// Second moments of an activation: the sum of x x^T over its rows, what error feedback and balancing know of it.
//
// Invariant: a row with a NaN or an infinity is left out and not counted, so moments are finite.
#pragma once

#include "numerics/rotation.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rknpu {

struct moments {
    size_t K;
    uint64_t rows = 0;        // that were summed
    std::vector<float> upper; // the upper triangle row by row: K values, then K - 1, ...

    explicit moments(size_t K) : K(K), upper(K * (K + 1) / 2, 0.0f) {}

    // Adds M rows of K values, row m at x + m * stride; best 128 or more at a time. The work can be shared: each of
    // `parts` threads makes the same call with its own part, at the same time if they like. One call per moments at a
    // time otherwise.
    void add(const float * x, size_t M, size_t stride, size_t part = 0, size_t parts = 1);
    void merge(const moments & other);

    // Where row i would begin if it had a column 0; columns from i on exist.
    size_t row_offset(size_t i) const { return i * (2 * K - i - 1) / 2; }
    std::vector<float> mean_squares() const; // of each column
};

// The moments of R V x, as K x K matrix, both triangles: V multiplies column k by balance[k] (nullptr: by 1), R is the
// rotation. On all CPU threads.
std::vector<float> transform_moments(const moments & m, const float * balance, const rotation & rotate);

} // namespace rknpu
