// Error feedback: the codes are those of the plain algorithm in f64, and the error of the product falls.
#include "numerics/error-feedback.h"
#include "numerics/weight-feedback.h"

#include "base/parallel.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace rknpu {
namespace {

using matrix = std::vector<double>;

// Moments of M rows of an AR(1) process along K with a few strong columns, as f32.
std::vector<float> ar_moments(std::mt19937 & random, size_t K, size_t M, float correlation) {
    std::vector<float> H(K * K, 0.0f);
    for (size_t m = 0; m < M; m++) {
        std::vector<float> x = test::normal_values(random, K);
        for (size_t k = 1; k < K; k++)
            x[k] = correlation * x[k - 1] + std::sqrt(1 - correlation * correlation) * x[k];
        for (size_t k = 0; k < K; k += 37)
            x[k] *= 4.0f;
        for (size_t i = 0; i < K; i++) {
            for (size_t j = 0; j < K; j++)
                H[i * K + j] += x[i] * x[j];
        }
    }
    return H;
}

// H + damping of the mean, rows and columns in that order.
matrix damped(const std::vector<float> & H, const error_feedback & f) {
    const size_t K = f.K();
    double mean = 0;
    for (size_t k = 0; k < K; k++)
        mean += double(H[k * K + k]) / double(K);
    matrix a(K * K);
    for (size_t i = 0; i < K; i++) {
        for (size_t j = 0; j < K; j++) {
            const size_t row = std::min(f.order()[i], f.order()[j]), column = std::max(f.order()[i], f.order()[j]);
            a[i * K + j] = H[row * K + column] + (i == j ? double(f.damping()) * (mean > 0 ? mean : 1) : 0);
        }
    }
    return a;
}

// U of a = U D U^T, by the textbook; expects D_k to be the smallest of what the diagonal is then, up to rounding.
matrix unit_upper(matrix a, size_t K) {
    matrix u(K * K, 0.0);
    for (size_t k = K; k-- > 0;) {
        const double d = a[k * K + k];
        for (size_t i = 0; i < k; i++)
            EXPECT_GE(a[i * K + i], d * (1 - 1e-3)) << i << " should have come after " << k;
        for (size_t i = 0; i <= k; i++)
            u[i * K + k] = a[i * K + k] / d;
        for (size_t i = 0; i < k; i++) {
            for (size_t j = i; j < k; j++)
                a[i * K + j] -= u[i * K + k] * u[j * K + k] * d;
        }
    }
    return u;
}

struct problem {
    size_t K, N;
    int limit;
    std::vector<k_segment> segments;
    std::vector<float> weights;
    std::vector<row_scale> scales; // [segment][row]
    std::vector<int8_t> codes;

    problem(std::mt19937 & random, size_t K, size_t N, int limit, float clip = 1.0f, size_t cut = 0)
        : K(K), N(N), limit(limit), weights(test::normal_values(random, K * N)), codes(K * N, 99) {
        if (cut) segments.push_back({0, cut, cut});
        segments.push_back({cut, K - cut, (K - cut + 31) / 32 * 32});
        for (const k_segment & s : segments) {
            for (size_t n = 0; n < N; n++) {
                float most = 0;
                for (size_t k = 0; k < s.K; k++)
                    most = std::max(most, std::fabs(weights[n * K + s.k_begin + k]));
                const float scale = clip * most / float(limit);
                scales.push_back({scale, most > 0 ? 1 / scale : 0.0f});
            }
        }
    }
    void quantize(const error_feedback & f) {
        f.quantize(weights.data(), N, K, segments, scales.data(), limit, codes.data());
    }
    row_scale scale_of(size_t n, size_t k) const {
        return scales[(segments.size() > 1 && k >= segments[1].k_begin ? N : 0) + n];
    }
    double error(size_t n, size_t k) const {
        return double(weights[n * K + k]) - double(scale_of(n, k).scale) * codes[n * K + k];
    }
    void round_to_nearest() {
        for (size_t i = 0; i < K * N; i++) {
            const float target = std::nearbyint(weights[i] * scale_of(i / K, i % K).inverse);
            codes[i] = int8_t(std::min(std::max(target, float(-limit - 1)), float(limit)));
        }
    }
    double product_error(const std::vector<float> & H) const {
        double sum = 0;
        for (size_t n = 0; n < N; n++) {
            for (size_t i = 0; i < K; i++) {
                for (size_t j = 0; j < K; j++)
                    sum += error(n, i) * double(H[std::min(i, j) * K + std::max(i, j)]) * error(n, j);
            }
        }
        return sum;
    }
    // Each code is the nearest to its target, which follows from the codes before it; near a tie both neighbours are.
    void expect_fed_back(const std::vector<float> & H, const error_feedback & f) const {
        const matrix u = unit_upper(damped(H, f), K);
        for (size_t n = 0; n < N; n++) {
            for (size_t i = 0; i < K; i++) {
                const size_t k = f.order()[i];
                double target = weights[n * K + k];
                for (size_t j = 0; j < i; j++)
                    target += error(n, f.order()[j]) * u[j * K + i];
                const double code =
                    std::min(std::max(target * scale_of(n, k).inverse, -double(limit) - 1), double(limit));
                ASSERT_LE(std::fabs(code - codes[n * K + k]), 0.5 + 0.005) << "row " << n << " column " << k;
            }
        }
    }
};

class feedback : public testing::Test {
protected:
    std::mt19937 random{test::seed()};
    testing::ScopedTrace seed{__FILE__, __LINE__, test::seed_line()};
};

TEST_F(feedback, each_code_follows_from_those_before_it) {
    for (const size_t K : {1, 7, 8, 40, 130, 300, 521}) {
        SCOPED_TRACE("K " + std::to_string(K));
        const std::vector<float> H = ar_moments(random, K, 2 * K, 0.8f);
        for (const int limit : {7, 127}) {
            auto f = error_feedback::make(H, K);
            ASSERT_TRUE(f.ok());
            EXPECT_FLOAT_EQ(f.value().damping(), 0.01f);
            problem p(random, K, 5, limit);
            p.quantize(f.value());
            p.expect_fed_back(H, f.value());
        }
    }
}

TEST_F(feedback, segments_have_their_own_scales_and_codes_stay_in_range) {
    const size_t K = 168;
    const std::vector<float> H = ar_moments(random, K, 2 * K, 0.9f);
    problem p(random, K, 20, 7, 0.6f, 96);
    for (size_t n = 0; n < p.N; n++) // the second segment is larger
        p.scales[p.N + n] = {p.scales[p.N + n].scale * 1.5f, p.scales[p.N + n].inverse / 1.5f};
    const auto f = error_feedback::make(H, K);
    p.quantize(f.value());
    p.expect_fed_back(H, f.value());
    const auto range = std::minmax_element(p.codes.begin(), p.codes.end());
    EXPECT_EQ(*range.first, -8);
    EXPECT_EQ(*range.second, 7);
}

TEST_F(feedback, only_the_upper_triangle_is_read) {
    const size_t K = 100;
    std::vector<float> H = ar_moments(random, K, 2 * K, 0.8f);
    problem p(random, K, 8, 7), q = p;
    p.quantize(error_feedback::make(H, K).value());
    for (size_t i = 0; i < K; i++) {
        for (size_t j = 0; j < i; j++)
            H[i * K + j] = 1e6f;
    }
    q.quantize(error_feedback::make(H, K).value());
    EXPECT_EQ(p.codes, q.codes);
}

TEST_F(feedback, rows_do_not_see_each_other) {
    const size_t K = 200, N = 150, stride = 211;
    const auto f = error_feedback::make(ar_moments(random, K, 2 * K, 0.8f), K);
    problem all(random, K, N, 7);
    all.quantize(f.value());
    std::vector<float> padded(N * stride, std::numeric_limits<float>::quiet_NaN());
    for (size_t n = 0; n < N; n++)
        std::copy_n(&all.weights[n * K], K, &padded[n * stride]);
    std::vector<int8_t> codes(N * K);
    parallel_for(N, 1, [&](size_t n, size_t) {
        f.value().quantize(&padded[n * stride], 1, stride, all.segments, &all.scales[n], 7, &codes[n * K]);
    });
    EXPECT_EQ(codes, all.codes);
    std::vector<int8_t> strided(N * K);
    f.value().quantize(padded.data(), N, stride, all.segments, all.scales.data(), 7, strided.data());
    EXPECT_EQ(strided, all.codes);
}

TEST_F(feedback, without_correlation_it_is_rounding_to_nearest) {
    const size_t K = 72;
    std::vector<float> H(K * K, 0.0f);
    problem p(random, K, 3, 7), nearest = p;
    nearest.round_to_nearest();
    p.quantize(error_feedback::make(H, K).value()); // no activation was ever anything but zero
    EXPECT_EQ(p.codes, nearest.codes);
    for (size_t k = 0; k < K; k++)
        H[k * K + k] = float(k % 5);
    p.quantize(error_feedback::make(H, K).value());
    EXPECT_EQ(p.codes, nearest.codes);
}

TEST_F(feedback, dead_columns_are_rounded_to_nearest) {
    const size_t K = 96;
    std::vector<float> H = ar_moments(random, K, 2 * K, 0.9f);
    for (size_t k = 0; k < K; k++) {
        for (const size_t dead : {0, 40, 95})
            H[dead * K + k] = H[k * K + dead] = 0;
    }
    problem p(random, K, 6, 7), nearest = p;
    nearest.round_to_nearest();
    const auto f = error_feedback::make(H, K);
    p.quantize(f.value());
    p.expect_fed_back(H, f.value());
    for (size_t n = 0; n < p.N; n++) {
        for (const size_t dead : {0, 40, 95})
            EXPECT_EQ(p.codes[n * K + dead], nearest.codes[n * K + dead]);
    }
    EXPECT_NE(p.codes, nearest.codes);
}

TEST_F(feedback, damping_rises_until_a_singular_matrix_can_be_factorized) {
    const size_t K = 520;
    const std::vector<float> H = ar_moments(random, K, 1, 0.9f); // rank 1
    const auto f = error_feedback::make(H, K, 0.0f);
    ASSERT_TRUE(f.ok());
    EXPECT_GT(f.value().damping(), 0.0f);
    EXPECT_LT(f.value().damping(), 0.01f);
    problem p(random, K, 4, 7), nearest = p;
    nearest.round_to_nearest();
    p.quantize(f.value());
    EXPECT_LT(p.product_error(H), 0.1 * nearest.product_error(H));
}

TEST_F(feedback, an_indefinite_matrix_gets_the_damping_it_needs) {
    const size_t K = 140;
    std::vector<float> H = ar_moments(random, K, 2 * K, 0.5f);
    H[3 * K + 135] = 3 * std::sqrt(H[3 * K + 3] * H[135 * K + 135]); // no moments are like that
    const auto f = error_feedback::make(H, K);
    ASSERT_TRUE(f.ok());
    EXPECT_GT(f.value().damping(), 0.02f);
    problem p(random, K, 4, 7);
    p.quantize(f.value());
    p.expect_fed_back(H, f.value());
}

TEST_F(feedback, the_error_of_the_product_falls) {
    const size_t K = 256;
    const std::vector<float> H = ar_moments(random, K, 4 * K, 0.9f);
    for (const int limit : {7, 127}) {
        problem p(random, K, 32, limit), nearest = p;
        nearest.round_to_nearest();
        p.quantize(error_feedback::make(H, K).value());
        EXPECT_LT(p.product_error(H), 0.5 * nearest.product_error(H)) << limit;
    }
}

TEST_F(feedback, rows_of_zeros_give_zeros) {
    const size_t K = 64;
    problem p(random, K, 17, 7);
    std::fill_n(&p.weights[3 * K], K, 0.0f);
    p.scales[3] = {0, 0};
    p.quantize(error_feedback::make(ar_moments(random, K, 2 * K, 0.9f), K).value());
    for (size_t k = 0; k < K; k++)
        EXPECT_EQ(p.codes[3 * K + k], 0);
}

TEST_F(feedback, moments_that_are_not_finite_are_refused_with_the_cure) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        std::vector<float> H(16, 0.0f);
        H[6] = bad;
        const auto f = error_feedback::make(H, 4);
        ASSERT_FALSE(f.ok());
        EXPECT_EQ(f.status().code(), errc::invalid_argument);
        EXPECT_EQ(f.status().message(), "the statistics hold values that are not finite; run rknpu calibrate again");
    }
}

TEST_F(feedback, what_cannot_be_moments_is_refused_with_the_cure) {
    std::vector<float> H(16, 1.0f);
    H[1] = 1e20f;
    std::vector<float> negative(16, 0.0f);
    negative[0] = -1e20f;
    for (const auto & bad : {H, negative}) {
        const auto f = error_feedback::make(bad, 4);
        ASSERT_FALSE(f.ok());
        EXPECT_EQ(f.status().code(), errc::invalid_argument);
        EXPECT_EQ(f.status().message(), "the statistics are not moments of an activation; run rknpu calibrate again");
    }
}

// Rows that lie in few directions: the products with such activations err less, though no activation was seen.
TEST_F(feedback, weights_tell_where_activations_lie) {
    constexpr size_t K = 300, N = 400; // a whole block and a short one
    std::mt19937 random(test::seed());
    const std::vector<float> directions = test::normal_values(random, 12 * K),
                             mix = test::normal_values(random, N * 12);
    problem p(random, K, N, 7);
    for (size_t n = 0; n < N; n++) {
        for (size_t k = 0; k < K; k++) {
            for (size_t i = 0; i < 12; i++)
                p.weights[n * K + k] += mix[n * 12 + i] * directions[i * K + k];
        }
    }
    for (row_scale & s : p.scales)
        s = {2.0f, 0.5f};
    const row_source rows = [&](size_t n, float * row) { std::copy_n(p.weights.data() + n * K, K, row); };
    const auto f = feedback_of_weights({{rows, N}}, K, basis());
    ASSERT_TRUE(f.ok());
    EXPECT_EQ(f.value().K(), K);
    std::vector<float> H(K * K, 0.0f);
    for (size_t i = 0; i < K; i++) {
        for (size_t j = i; j < K; j++) {
            for (size_t d = 0; d < 12; d++)
                H[i * K + j] += directions[d * K + i] * directions[d * K + j];
        }
    }
    p.round_to_nearest();
    const double nearest = p.product_error(H);
    p.quantize(f.value());
    EXPECT_LT(p.product_error(H), 0.7 * nearest);
}

} // namespace
} // namespace rknpu
