// See gram.h. A stripe of X is copied, so that neither the row stride (often a power of two) nor the last columns
// trouble the kernel.
#include "numerics/gram.h"

#include "kernels/kernels.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace rknpu {

namespace {

using kernels::outer_rows;

constexpr size_t stripe_stride = gram_stripe_width + 16; // the kernel reads whole vectors

// The square on the diagonal whose first row is i; size <= 8.
void add_diagonal(const float * a, const float * b, size_t rows, size_t i, size_t size, float * const * upper) {
    float square[outer_rows][outer_rows] = {};
    float * out[outer_rows];
    for (size_t r = 0; r < outer_rows; r++)
        out[r] = square[r];
    kernels::add_outer_products(a, b, stripe_stride, rows, size, outer_rows, out);
    for (size_t r = 0; r < size; r++) {
        for (size_t j = r; j < size; j++)
            upper[i + r][i + j] += square[r][j];
    }
}

} // namespace

void add_gram_stripe(const float * x, size_t stride, size_t rows, size_t n, size_t stripe, float sign,
                     float * const * upper) {
    const size_t begin = stripe * gram_stripe_width, end = std::min(n, begin + gram_stripe_width);
    thread_local std::vector<float> columns, group;
    columns.assign(rows * stripe_stride, 0.0f);
    for (size_t m = 0; m < rows; m++)
        std::memcpy(&columns[m * stripe_stride], x + m * stride + begin, (end - begin) * sizeof(float));
    group.resize(rows * outer_rows);
    for (size_t i = 0; i < end; i += outer_rows) {
        const size_t size = std::min(outer_rows, n - i);
        for (size_t m = 0; m < rows; m++) {
            for (size_t r = 0; r < outer_rows; r++)
                group[m * outer_rows + r] = r < size ? sign * x[m * stride + i + r] : 0.0f;
        }
        size_t j = begin;
        if (i >= begin) {
            add_diagonal(group.data(), &columns[i - begin], rows, i, size, upper);
            j = i + outer_rows;
        }
        if (j >= end) continue;
        float * out[outer_rows];
        for (size_t r = 0; r < outer_rows; r++)
            out[r] = upper[i + r] + j;
        kernels::add_outer_products(group.data(), &columns[j - begin], stripe_stride, rows, end - j, outer_rows, out);
    }
}

void mirror_triangle(float * a, size_t n, triangles which) {
    constexpr size_t tile = 32; // both sides of a tile fit the L1 cache
    for (size_t i0 = 0; i0 < n; i0 += tile) {
        for (size_t j0 = i0; j0 < n; j0 += tile) {
            for (size_t i = i0; i < std::min(i0 + tile, n); i++) {
                for (size_t j = std::max(j0, i + 1); j < std::min(j0 + tile, n); j++) {
                    float &up = a[i * n + j], &low = a[j * n + i];
                    which == upper_to_lower ? low = up : up = low;
                }
            }
        }
    }
}

} // namespace rknpu
