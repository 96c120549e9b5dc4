// See error-feedback.h.
//
// U D U^T is the Cholesky factorization of H with rows and columns in reverse order; its pivots are the D.
// Weight rows are rounded in panels, transposed: a vector holds the same column of many rows. Feedback into a block of
// columns from all those before it is a dense product; only within 8 columns it is serial.
#include "numerics/error-feedback.h"

#include "base/check.h"
#include "base/parallel.h"
#include "kernels/kernels.h"
#include "numerics/gram.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace rknpu {

namespace {

using kernels::outer_rows;

constexpr size_t factor_block = 128; // rows of one step of the factorization
constexpr size_t panel_rows = 64;    // weight rows that share a pass over U
constexpr size_t column_block = 128; // columns whose feedback is summed together; their sums stay in the L1/L2 cache
constexpr size_t depth_block = 256;  // errors summed in one go; as panel of 64 rows they stay in the L2 cache

// The Cholesky factorization R^T R of a symmetric matrix, smallest pivot first. The upper triangle becomes R, of the
// matrix with its rows and columns in pivot order; the lower one keeps the original.
class pivoted_cholesky {
public:
    pivoted_cholesky(float * a, size_t K) : a_(a), K_(K), stride_((K + 15) / 16 * 16 + 16), order_(K), pivot_(K) {
        block_.resize(factor_block * stride_);
    }
    // False if a pivot is below least.
    bool run(double least) {
        std::iota(order_.begin(), order_.end(), 0);
        for (size_t begin = 0; begin < K_; begin += factor_block) {
            const size_t end = std::min(begin + factor_block, K_);
            for (size_t k = begin; k < K_; k++)
                pivot_[k] = a_[k * K_ + k];
            for (size_t k = begin; k < end; k++) {
                const size_t best = size_t(std::min_element(pivot_.begin() + long(k), pivot_.end()) - pivot_.begin());
                if (!(pivot_[best] >= least)) return false;
                if (best != k) swap(begin, k, best);
                finish_row(begin, k);
            }
            for (size_t k = begin; k < end; k++)
                std::copy_n(&block_[(k - begin) * stride_ + k], K_ - k, a_ + k * K_ + k);
            update(begin, end);
        }
        return true;
    }
    const std::vector<uint32_t> & order() const { return order_; }

private:
    // Rows and columns k < other of the matrix, and columns of R.
    void swap(size_t begin, size_t k, size_t other) {
        std::swap(order_[k], order_[other]);
        std::swap(pivot_[k], pivot_[other]);
        for (size_t i = 0; i < begin; i++)
            std::swap(a_[i * K_ + k], a_[i * K_ + other]);
        for (size_t i = begin; i < k; i++)
            std::swap(block_[(i - begin) * stride_ + k], block_[(i - begin) * stride_ + other]);
        std::swap(a_[k * K_ + k], a_[other * K_ + other]);
        for (size_t j = k + 1; j < other; j++)
            std::swap(a_[k * K_ + j], a_[j * K_ + other]);
        std::swap_ranges(a_ + k * K_ + other + 1, a_ + (k + 1) * K_, a_ + other * K_ + other + 1);
    }
    // Row k of R, from the matrix that lacks the rows of this block, and the pivots left by it.
    void finish_row(size_t begin, size_t k) {
        float * row = &block_[(k - begin) * stride_];
        std::copy_n(a_ + k * K_ + k, K_ - k, row + k);
        float factors[factor_block * outer_rows];
        for (size_t i = begin; i < k; i++)
            factors[(i - begin) * outer_rows] = -block_[(i - begin) * stride_ + k];
        float * out = row + k;
        kernels::add_outer_products(factors, &block_[k], stride_, k - begin, K_ - k, 1, &out);
        row[k] = float(std::sqrt(pivot_[k]));
        for (size_t j = k + 1; j < K_; j++) {
            row[j] /= row[k];
            pivot_[j] -= double(row[j]) * double(row[j]);
        }
    }
    // Takes the rows of a block off the matrix.
    void update(size_t begin, size_t end) {
        const size_t rest = K_ - end, stripes = gram_stripes(rest);
        std::vector<float *> rows(rest);
        for (size_t i = 0; i < rest; i++)
            rows[i] = a_ + (end + i) * K_ + end;
        // The last stripes are the longest: they come first, so that the threads end together.
        parallel_for(stripes, 1, [&](size_t s, size_t) {
            add_gram_stripe(&block_[end], stride_, end - begin, rest, stripes - 1 - s, -1.0f, rows.data());
        });
    }

    float * a_;
    size_t K_, stride_; // of the rows of a block: no power of two, and room for reading whole vectors
    std::vector<uint32_t> order_;
    std::vector<double> pivot_; // what the diagonal would be now
    std::vector<float> block_;
};

size_t group_offset(size_t group) {
    return outer_rows * outer_rows * (group * (group + 1) / 2);
}

// U in groups, its columns in the reverse order of R's: U[j][k] = R[K-1-k][K-1-j] / R[K-1-k][K-1-k]. Columns beyond
// K are zero.
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
    error_feedback f;
    status made = f.append(std::move(H), K, damping);
    if (!made.ok()) return made;
    return f;
}

status error_feedback::append(std::vector<float> H, size_t K, float damping) {
    RKNPU_CHECK(K > 0 && H.size() == K * K, "moments of another size than the weight");
    if (!std::isfinite(kernels::absmax(H.data(), H.size())))
        return {errc::invalid_argument, "the statistics hold values that are not finite; run rknpu calibrate again"};
    mirror_triangle(H.data(), K, upper_to_lower); // where it stays; each attempt destroys the upper
    std::vector<float> diagonal(K);
    double mean = 0;
    for (size_t k = 0; k < K; k++)
        mean += double(diagonal[k] = H[k * K + k]) / double(K);
    if (!(mean > 0)) mean = 1; // nothing was ever active
    pivoted_cholesky cholesky(H.data(), K);
    // In exact arithmetic no pivot is below what was added: one that is shows that rounding has eaten the damping.
    // True moments need no more than K.
    for (double part = std::max(damping, 1e-6f); part <= 4.0 * double(K) + 1; part *= 4) {
        mirror_triangle(H.data(), K, lower_to_upper);
        for (size_t k = 0; k < K; k++)
            H[k * K + k] = float(diagonal[k] + part * mean);
        if (!cholesky.run(part * mean / 2)) continue;
        damping_ = float(part);
        for (auto k = cholesky.order().rbegin(); k != cholesky.order().rend(); k++)
            order_.push_back(uint32_t(K_) + *k);
        blocks_.push_back({K_, K, group_shares(H.data(), K)});
        K_ += K;
        return {};
    }
    return {errc::invalid_argument, "the statistics are not moments of an activation; run rknpu calibrate again"};
}

// A run of weight rows on its way through quantize; all arrays are [column][row of the panel], columns in order_.
struct error_feedback::panel {
    size_t width; // rows, padded to whole vectors
    std::vector<float> weights, targets, errors;
    std::vector<int8_t> codes;
    std::vector<float> scale, inverse;                       // [segment][row]
    std::vector<const float *> column_scale, column_inverse; // [column]: where in these
};

void error_feedback::load_panel(panel & p, const block & b, const float * rows, size_t n, size_t stride) const {
    const size_t K_padded = (b.K + outer_rows - 1) / outer_rows * outer_rows;
    p.weights.assign(K_padded * p.width, 0.0f);
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < b.K; k++)
            p.weights[k * p.width + r] = rows[r * stride + order_[b.begin + k]];
    }
    p.targets = p.weights;
    p.errors.resize(K_padded * p.width);
    p.codes.resize(K_padded * p.width);
}

// Eight columns at a time, each run of columns after the feedback of all before it.
void error_feedback::quantize_panel(panel & p, const block & b, int limit) {
    const size_t K_padded = p.column_scale.size();
    const auto add_feedback = [&](size_t column, size_t from, size_t to) {
        float * out[outer_rows];
        for (size_t r = 0; r < outer_rows; r++)
            out[r] = &p.targets[(column + r) * p.width];
        kernels::add_outer_products(&b.shares[group_offset(column / outer_rows) + from * outer_rows],
                                    &p.errors[from * p.width], p.width, to - from, p.width, outer_rows, out);
    };
    for (size_t begin = 0; begin < K_padded; begin += column_block) {
        const size_t end = std::min(begin + column_block, K_padded);
        for (size_t from = 0; from < begin; from += depth_block) {
            for (size_t k = begin; k < end; k += outer_rows)
                add_feedback(k, from, std::min(from + depth_block, begin));
        }
        for (size_t k = begin; k < end; k += outer_rows) {
            add_feedback(k, begin, k);
            kernels::round_with_feedback(&p.weights[k * p.width], &p.targets[k * p.width],
                                         &b.shares[group_offset(k / outer_rows) + k * outer_rows], &p.column_scale[k],
                                         &p.column_inverse[k], limit, p.width, &p.errors[k * p.width],
                                         &p.codes[k * p.width]);
        }
    }
}

void error_feedback::quantize(const float * rows, size_t n_rows, size_t stride, const std::vector<k_segment> & segments,
                              const row_scale * scales, int limit, int8_t * codes) const {
    RKNPU_CHECK(!segments.empty() && segments.back().k_begin + segments.back().K == K_, "segments of another weight");
    std::vector<size_t> segment_of(K_);
    for (size_t i = 0; i < segments.size(); i++)
        std::fill_n(segment_of.begin() + long(segments[i].k_begin), segments[i].K, i);
    thread_local panel p;
    for (size_t first = 0; first < n_rows; first += panel_rows) {
        const size_t n = std::min(panel_rows, n_rows - first);
        p.width = (n + 15) / 16 * 16;
        p.scale.assign(segments.size() * p.width, 0.0f);
        p.inverse.assign(segments.size() * p.width, 0.0f);
        for (size_t i = 0; i < segments.size(); i++) {
            for (size_t r = 0; r < n; r++) {
                p.scale[i * p.width + r] = scales[i * n_rows + first + r].scale;
                p.inverse[i * p.width + r] = scales[i * n_rows + first + r].inverse;
            }
        }
        for (const block & b : blocks_) {
            load_panel(p, b, rows + first * stride, n, stride);
            p.column_scale.assign(p.weights.size() / p.width, p.scale.data());
            p.column_inverse.assign(p.weights.size() / p.width, p.inverse.data());
            const uint32_t * order = order_.data() + b.begin;
            for (size_t k = 0; k < b.K; k++) {
                p.column_scale[k] += segment_of[order[k]] * p.width;
                p.column_inverse[k] += segment_of[order[k]] * p.width;
            }
            quantize_panel(p, b, limit);
            for (size_t r = 0; r < n; r++) {
                for (size_t k = 0; k < b.K; k++)
                    codes[(first + r) * K_ + order[k]] = p.codes[k * p.width + r];
            }
        }
    }
}

} // namespace rknpu
