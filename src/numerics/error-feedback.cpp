// See error-feedback.h.
//
// U D U^T is the Cholesky factorization of H with rows and columns in reverse order, and reversing a square matrix is
// reversing its memory. Weight rows are rounded in panels, transposed: a vector holds the same column of many rows.
// Feedback into a block of columns from all those before it is a dense product; only within 8 columns it is serial.
#include "numerics/error-feedback.h"

#include "base/check.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "numerics/gram.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace rknpu {

namespace {

using kernels::outer_rows;

constexpr size_t factor_block = 128; // rows of one step of the factorization
constexpr size_t panel_rows = 64;    // weight rows that share a pass over U
constexpr size_t column_block = 128; // columns whose feedback is summed together; their sums stay in the L1/L2 cache
constexpr size_t depth_block = 256;  // errors summed in one go; as panel of 64 rows they stay in the L2 cache

using square = std::vector<double>; // factor_block x factor_block

// Factorizes the n x n square at a (row stride K) into R^T R, in f64, in place. False if a pivot is below least.
bool factorize_square(float * a, size_t K, size_t n, double least) {
    square s(n * n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            s[i * n + j] = a[i * K + j];
    }
    for (size_t k = 0; k < n; k++) {
        if (!(s[k * n + k] >= least)) return false;
        const double root = std::sqrt(s[k * n + k]);
        for (size_t j = k; j < n; j++)
            s[k * n + j] /= root;
        for (size_t i = k + 1; i < n; i++) {
            const double factor = s[k * n + i];
            for (size_t j = i; j < n; j++)
                s[i * n + j] -= factor * s[k * n + j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            a[i * K + j] = float(s[i * n + j]);
    }
    return true;
}

// Solves R^T X = B in place for columns [begin, end) of the n rows whose factorized square is at a.
void solve_columns(float * a, size_t K, size_t n, size_t begin, size_t end) {
    const size_t width = end - begin, stride = (width + 15) / 16 * 16;
    thread_local std::vector<float> x, group;
    x.assign((n + outer_rows) * stride, 0.0f);
    group.resize(n * outer_rows);
    for (size_t k = 0; k < n; k++)
        std::memcpy(&x[k * stride], a + k * K + begin, width * sizeof(float));
    for (size_t first = 0; first < n; first += outer_rows) {
        const size_t size = std::min(outer_rows, n - first);
        float * out[outer_rows];
        for (size_t r = 0; r < outer_rows; r++) {
            out[r] = &x[(first + r) * stride];
            for (size_t k = 0; k < first; k++)
                group[k * outer_rows + r] = r < size ? -a[k * K + first + r] : 0.0f;
        }
        kernels::add_outer_products(group.data(), x.data(), stride, first, width, out);
        for (size_t r = 0; r < size; r++) {
            const float * row = a + (first + r) * K + first;
            const float inverse = 1.0f / row[r];
            for (size_t j = 0; j < width; j++)
                out[r][j] *= inverse;
            for (size_t later = r + 1; later < size; later++) {
                for (size_t j = 0; j < width; j++)
                    out[later][j] -= row[later] * out[r][j];
            }
        }
    }
    for (size_t k = 0; k < n; k++)
        std::memcpy(a + k * K + begin, &x[k * stride], width * sizeof(float));
}

// Upper triangle of a into R with R^T R = a, in place. False if a pivot is below least: the triangle is then destroyed.
bool factorize(float * a, size_t K, double least) {
    std::vector<float *> rows;
    for (size_t begin = 0; begin < K; begin += factor_block) {
        const size_t n = std::min(factor_block, K - begin), rest = K - begin - n;
        float * corner = a + begin * K + begin;
        if (!factorize_square(corner, K, n, least)) return false;
        const size_t stripes = gram_stripes(rest);
        parallel_for(stripes, 1, [&](size_t s, size_t) {
            const size_t from = n + s * gram_stripe_width;
            solve_columns(corner, K, n, from, std::min(from + gram_stripe_width, n + rest));
        });
        rows.clear();
        for (size_t i = 0; i < rest; i++)
            rows.push_back(corner + (n + i) * K + n);
        // The last stripes are the longest: they come first, so that the threads end together.
        parallel_for(stripes, 1, [&](size_t s, size_t) {
            add_gram_stripe(corner + n, K, n, rest, stripes - 1 - s, -1.0f, rows.data());
        });
    }
    return true;
}

// The lower triangle copied into the upper.
void mirror_lower(float * a, size_t K) {
    constexpr size_t tile = 32;
    for (size_t i0 = 0; i0 < K; i0 += tile) {
        for (size_t j0 = i0; j0 < K; j0 += tile) {
            for (size_t i = i0; i < std::min(i0 + tile, K); i++) {
                for (size_t j = std::max(j0, i + 1); j < std::min(j0 + tile, K); j++)
                    a[i * K + j] = a[j * K + i];
            }
        }
    }
}

size_t group_offset(size_t group) {
    return outer_rows * outer_rows * (group * (group + 1) / 2);
}

// U in groups from R of the reversed matrix: U[j][k] = R[K-1-k][K-1-j] / R[K-1-k][K-1-k]. Columns beyond K are zero.
std::vector<float> group_shares(const float * r, size_t K) {
    const size_t groups = (K + outer_rows - 1) / outer_rows;
    std::vector<float> shares(group_offset(groups), 0.0f);
    parallel_for(groups, 16, [&](size_t from, size_t to) {
        for (size_t g = from; g < to; g++) {
            float * out = &shares[group_offset(g)];
            for (size_t k = g * outer_rows; k < std::min((g + 1) * outer_rows, K); k++) {
                const float * row = r + (K - 1 - k) * K;
                const float inverse = 1.0f / row[K - 1 - k];
                for (size_t j = 0; j < k; j++)
                    out[j * outer_rows + k % outer_rows] = row[K - 1 - j] * inverse;
            }
        }
    });
    return shares;
}

} // namespace

result<error_feedback> error_feedback::make(std::vector<float> H, size_t K, float damping) {
    RKNPU_CHECK(K > 0 && H.size() == K * K, "moments of another size than the weight");
    if (!std::isfinite(kernels::absmax(H.data(), H.size())))
        return status(errc::invalid_argument,
                      "the statistics hold values that are not finite; run rknpu calibrate again");
    std::reverse(H.begin(), H.end());
    // The triangle that was given is now the lower one, and stays; each attempt destroys the upper.
    std::vector<float> diagonal(K);
    double mean = 0;
    for (size_t k = 0; k < K; k++)
        mean += double(diagonal[k] = H[k * K + k]) / double(K);
    if (!(mean > 0)) mean = 1; // nothing was ever active
    error_feedback f;
    f.K_ = K;
    // In exact arithmetic no pivot is below what was added: one that is shows that rounding has eaten the damping.
    for (double part = std::max(damping, 1e-6f);; part *= 4) {
        mirror_lower(H.data(), K);
        for (size_t k = 0; k < K; k++)
            H[k * K + k] = float(diagonal[k] + part * mean);
        f.damping_ = float(part);
        if (factorize(H.data(), K, part * mean / 2)) break;
    }
    f.shares_ = group_shares(H.data(), K);
    return f;
}

// A run of weight rows on its way through quantize; all arrays are [column][row of the panel].
struct error_feedback::panel {
    size_t width; // rows, padded to whole vectors
    std::vector<float> weights, targets, errors;
    std::vector<int8_t> codes;
    std::vector<float> scale, inverse; // [segment][row]
};

// Eight columns at a time, each block of columns after the feedback of all before it.
void error_feedback::quantize_panel(panel & p, const std::vector<k_segment> & segments, int limit) const {
    const size_t K_padded = p.errors.size() / p.width;
    const auto add_feedback = [&](size_t column, size_t from, size_t to) {
        float * out[outer_rows];
        for (size_t r = 0; r < outer_rows; r++)
            out[r] = &p.targets[(column + r) * p.width];
        kernels::add_outer_products(&shares_[group_offset(column / outer_rows) + from * outer_rows],
                                    &p.errors[from * p.width], p.width, to - from, p.width, out);
    };
    size_t segment = 0;
    for (size_t begin = 0; begin < K_padded; begin += column_block) {
        const size_t end = std::min(begin + column_block, K_padded);
        for (size_t from = 0; from < begin; from += depth_block) {
            for (size_t k = begin; k < end; k += outer_rows)
                add_feedback(k, from, std::min(from + depth_block, begin));
        }
        for (size_t k = begin; k < end; k += outer_rows) {
            add_feedback(k, begin, k);
            while (segment + 1 < segments.size() && segments[segment + 1].k_begin <= k)
                segment++;
            kernels::round_with_feedback(&p.weights[k * p.width], &p.targets[k * p.width],
                                         &shares_[group_offset(k / outer_rows) + k * outer_rows],
                                         &p.scale[segment * p.width], &p.inverse[segment * p.width], limit, p.width,
                                         &p.errors[k * p.width], &p.codes[k * p.width]);
        }
    }
}

void error_feedback::quantize(const float * rows, size_t n_rows, size_t stride, const std::vector<k_segment> & segments,
                              const row_scale * scales, int limit, int8_t * codes) const {
    RKNPU_CHECK(!segments.empty() && segments.back().k_begin + segments.back().K == K_, "segments of another weight");
    for (const k_segment & s : segments)
        RKNPU_CHECK(s.k_begin % outer_rows == 0, "a segment begins inside a group of columns");
    const size_t K_padded = (K_ + outer_rows - 1) / outer_rows * outer_rows;
    thread_local panel p;
    for (size_t first = 0; first < n_rows; first += panel_rows) {
        const size_t n = std::min(panel_rows, n_rows - first);
        p.width = (n + 15) / 16 * 16;
        p.weights.assign(K_padded * p.width, 0.0f);
        for (size_t r = 0; r < n; r++) {
            for (size_t k = 0; k < K_; k++)
                p.weights[k * p.width + r] = rows[(first + r) * stride + k];
        }
        p.targets = p.weights;
        p.errors.resize(K_padded * p.width);
        p.codes.resize(K_padded * p.width);
        p.scale.assign(segments.size() * p.width, 0.0f);
        p.inverse.assign(segments.size() * p.width, 0.0f);
        for (size_t i = 0; i < segments.size(); i++) {
            for (size_t r = 0; r < n; r++) {
                p.scale[i * p.width + r] = scales[i * n_rows + first + r].scale;
                p.inverse[i * p.width + r] = scales[i * n_rows + first + r].inverse;
            }
        }
        quantize_panel(p, segments, limit);
        for (size_t r = 0; r < n; r++) {
            for (size_t k = 0; k < K_; k++)
                codes[(first + r) * K_ + k] = p.codes[k * p.width + r];
        }
    }
}

} // namespace rknpu
