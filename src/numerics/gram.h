// Symmetric matrices: X^T X, the one dense product of calibration. Moments are such sums, and so are the steps of a
// Cholesky factorization.
//
// Invariant: a sum touches the upper triangle only. Stripes of columns are independent, so threads may take one each.
#pragma once

#include <cstddef>

namespace rknpu {

constexpr size_t gram_stripe_width = 256;

inline size_t gram_stripes(size_t n) {
    return (n + gram_stripe_width - 1) / gram_stripe_width;
}

// upper[i][j] += sign * sum over m < rows of x[m * stride + i] * x[m * stride + j], for i <= j, j < n in that stripe.
// upper[i] is where row i would begin if it had a column 0: upper[i][i] is the first element that is touched. Fast if
// rows is about 100: sums are kept in registers over the rows.
void add_gram_stripe(const float * x, size_t stride, size_t rows, size_t n, size_t stripe, float sign,
                     float * const * upper);

// Copies one triangle of the n x n matrix a into the other.
enum triangles { upper_to_lower, lower_to_upper };
void mirror_triangle(float * a, size_t n, triangles which);

} // namespace rknpu
