// See moments.h.
#include "numerics/moments.h"

#include "base/check.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "numerics/gram.h"

#include <algorithm>
#include <cmath>

namespace rknpu {

namespace {

constexpr size_t rows_together = 128; // summed in registers before they are added to the total

// Swaps a square matrix with its transpose, tile by tile.
void transpose(float * a, size_t K) {
    constexpr size_t tile = 32;
    parallel_for((K + tile - 1) / tile, 1, [&](size_t t, size_t) {
        const size_t i0 = t * tile, i1 = std::min(i0 + tile, K);
        for (size_t j0 = i0; j0 < K; j0 += tile) {
            const size_t j1 = std::min(j0 + tile, K);
            for (size_t i = i0; i < i1; i++) {
                for (size_t j = std::max(j0, i + 1); j < j1; j++)
                    std::swap(a[i * K + j], a[j * K + i]);
            }
        }
    });
}

} // namespace

void moments::add(const float * x, size_t M, size_t stride, size_t part, size_t parts) {
    std::vector<float *> triangle(K);
    for (size_t i = 0; i < K; i++)
        triangle[i] = upper.data() + row_offset(i);
    const auto usable = [&](size_t m) { return std::isfinite(kernels::absmax(x + m * stride, K)); };
    for (size_t begin = 0, end = 0; begin < M; begin = end) {
        while (begin < M && !usable(begin))
            begin++;
        for (end = begin; end < M && end - begin < rows_together && usable(end);)
            end++;
        // Stripes grow in length: dealt out in turn, no part has only long ones.
        for (size_t stripe = part; stripe < gram_stripes(K) && end > begin; stripe += parts)
            add_gram_stripe(x + begin * stride, stride, end - begin, K, stripe, 1.0f, triangle.data());
        if (part == 0) rows += end - begin;
    }
}

void moments::merge(const moments & other) {
    RKNPU_CHECK(K == other.K, "moments of different activations");
    for (size_t i = 0; i < upper.size(); i++)
        upper[i] += other.upper[i];
    rows += other.rows;
}

std::vector<float> moments::mean_squares() const {
    std::vector<float> squares(K, 0.0f);
    for (size_t k = 0; k < K && rows > 0; k++)
        squares[k] = upper[row_offset(k) + k] / float(rows);
    return squares;
}

std::vector<float> transform_moments(const moments & m, const float * balance, const rotation & rotate) {
    const size_t K = m.K;
    std::vector<float> a(K * K, 0.0f);
    const auto each_row = [&](const auto & body) {
        parallel_for(K, 64, [&](size_t begin, size_t end) {
            for (size_t i = begin; i < end; i++)
                body(i);
        });
    };
    each_row([&](size_t i) {
        const float * row = m.upper.data() + m.row_offset(i);
        for (size_t j = i; j < K; j++)
            a[i * K + j] = balance ? row[j] * balance[i] * balance[j] : row[j];
    });
    mirror_triangle(a.data(), K, upper_to_lower);
    if (!rotate.block) return a;
    each_row([&](size_t i) { rotate.apply(&a[i * K], K); }); // A R^T
    transpose(a.data(), K);                                  // R A
    each_row([&](size_t i) { rotate.apply(&a[i * K], K); });
    return a;
}

} // namespace rknpu
