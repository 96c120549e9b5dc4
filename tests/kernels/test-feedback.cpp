// The kernels of calibration (outer products, rounding with feedback) against scalar loops, on every instruction set.
#include "forced-isa.h"
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace rknpu::kernels;

namespace {

INSTANTIATE_TEST_SUITE_P(isa, per_isa, testing::ValuesIn(machine_isas()), isa_of);

std::vector<float> random_values(std::mt19937 & random, size_t count) {
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> x(count);
    for (auto & v : x)
        v = normal(random);
    return x;
}

TEST_P(per_isa, outer_products_are_added_to_the_columns_asked_for) {
    std::mt19937 random(test_seed);
    for (const size_t width : {1, 3, 4, 8, 15, 16, 17, 31, 32, 33, 64, 77}) {
        for (const size_t depth : {0, 1, 2, 50}) {
            SCOPED_TRACE("width " + std::to_string(width) + " depth " + std::to_string(depth));
            const size_t stride = 96;
            const std::vector<float> a = random_values(random, depth * outer_rows),
                                     b = random_values(random, depth * stride);
            const std::vector<float> before = random_values(random, outer_rows * stride);
            std::vector<float> c = before;
            float * rows[outer_rows];
            for (size_t r = 0; r < outer_rows; r++)
                rows[r] = &c[r * stride];
            const size_t n_rows = 1 + random() % outer_rows;
            add_outer_products(a.data(), b.data(), stride, depth, width, n_rows, rows);
            for (size_t r = 0; r < outer_rows; r++) {
                for (size_t j = 0; j < stride; j++) {
                    double sum = before[r * stride + j], size = std::fabs(sum);
                    for (size_t i = 0; i < depth && j < width && r < n_rows; i++) {
                        const double product = double(a[outer_rows * i + r]) * b[i * stride + j];
                        sum += product;
                        size += std::fabs(product);
                    }
                    // depth + 1 sums and as many products, each rounded once
                    ASSERT_NEAR(c[r * stride + j], sum, size * double(depth + 1) * 0x1p-24) << r << " " << j;
                }
            }
        }
    }
}

TEST_P(per_isa, rounding_feeds_each_error_to_later_columns_of_the_group) {
    std::mt19937 random(test_seed);
    for (const size_t width : {16, 48}) {
        for (const int limit : {7, 127}) {
            const std::vector<float> weights = random_values(random, outer_rows * width);
            std::vector<float> targets = random_values(random, outer_rows * width), scale, inverse;
            std::vector<float> share = random_values(random, outer_rows * outer_rows);
            for (auto & s : share)
                s /= 4;
            for (size_t i = 0; i < targets.size(); i++)
                targets[i] = weights[i] + targets[i] / 8;
            for (size_t j = 0; j < width; j++) {
                scale.push_back(j % 5 ? 6.0f / float(limit) : 0.0f); // 6: some targets are beyond the limit
                inverse.push_back(j % 5 ? float(limit) / 6.0f : 0.0f);
            }
            std::vector<const float *> scales, inverses; // two columns have scales of their own
            const std::vector<float> twice(width, 12.0f / float(limit)), half(width, float(limit) / 12.0f);
            for (size_t k = 0; k < outer_rows; k++) {
                scales.push_back(k % 4 == 3 ? twice.data() : scale.data());
                inverses.push_back(k % 4 == 3 ? half.data() : inverse.data());
            }
            std::vector<float> errors(targets.size());
            std::vector<int8_t> codes(targets.size());
            round_with_feedback(weights.data(), targets.data(), share.data(), scales.data(), inverses.data(), limit,
                                width, errors.data(), codes.data());
            bool at_limit = false;
            for (size_t i = 0; i < codes.size(); i++) {
                const size_t k = i / width, j = i % width;
                double target = targets[i];
                for (size_t before = 0; before < k; before++)
                    target += double(share[before * outer_rows + k]) * errors[before * width + j];
                const double code = std::min(std::max(target * inverses[k][j], -double(limit) - 1), double(limit));
                ASSERT_LE(std::fabs(code - codes[i]), 0.5 + 1e-4) << k << " " << j; // a tie may fall either way
                ASSERT_NEAR(errors[i], double(weights[i]) - double(scales[k][j]) * codes[i], 1e-5) << k << " " << j;
                at_limit |= codes[i] == limit || codes[i] == -limit - 1;
            }
            EXPECT_TRUE(at_limit);
        }
    }
}

TEST_P(per_isa, rounding_takes_ties_to_even) {
    constexpr size_t width = 16;
    std::vector<float> weights(outer_rows * width), errors(weights.size());
    for (size_t i = 0; i < weights.size(); i++)
        weights[i] = float(int(i % 15) - 7) + 0.5f;
    const std::vector<float> share(outer_rows * outer_rows, 0.0f), ones(width, 1.0f);
    const std::vector<const float *> scales(outer_rows, ones.data());
    std::vector<int8_t> codes(weights.size());
    round_with_feedback(weights.data(), weights.data(), share.data(), scales.data(), scales.data(), 7, width,
                        errors.data(), codes.data());
    for (size_t i = 0; i < codes.size(); i++)
        ASSERT_EQ(codes[i], std::min(std::nearbyint(weights[i]), 7.0f)) << weights[i];
}

TEST_P(per_isa, code_moments_are_those_of_the_codes) {
    std::mt19937 random(test_seed);
    for (const size_t count : {0, 1, 3, 16, 31, 77, 4096, 4100, 9001}) {
        for (const int limit : {7, 127}) {
            SCOPED_TRACE("count " + std::to_string(count) + " limit " + std::to_string(limit));
            const std::vector<float> x = random_values(random, count);
            std::vector<float> importance = random_values(random, count);
            for (auto & i : importance)
                i *= i;
            const float inverse = float(limit) / 6.0f; // some values are clipped
            for (const float * weights :
                 {static_cast<const float *>(nullptr), static_cast<const float *>(importance.data())}) {
                double xq = 0, qq = 0;
                for (size_t k = 0; k < count; k++) {
                    const float code =
                        std::min(std::max(std::nearbyint(x[k] * inverse), -float(limit) - 1), float(limit));
                    const double weight = weights ? double(weights[k]) : 1.0;
                    xq += weight * double(x[k]) * double(code);
                    qq += weight * double(code) * double(code);
                }
                const code_moments m = sum_code_moments(x.data(), weights, inverse, limit, count);
                // every term is positive: runs of up to 4096 values, in lanes or one after the other
                EXPECT_NEAR(m.xq, xq, xq * 4100 * 0x1p-24);
                EXPECT_NEAR(m.qq, qq, qq * 4100 * 0x1p-24);
            }
        }
    }
}

} // namespace
