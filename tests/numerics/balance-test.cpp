// Balancing: outlier channels get their factor, ordinary ones none, and products stay what they are.
#include "numerics/balance.h"
#include "numerics/basis.h"

#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace rknpu {
namespace {

constexpr size_t K = 192, N = 100;

class balance : public testing::Test {
protected:
    std::mt19937 random{test::seed()};
    testing::ScopedTrace seed{__FILE__, __LINE__, test::seed_line()};

    static weight_rows rows(const std::vector<float> & weight) {
        return {[&weight](size_t n, float * row) { std::copy_n(weight.data() + n * K, K, row); }, weight.size() / K};
    }
    std::vector<float> weight_with(size_t channel, float factor) {
        std::vector<float> weight = test::normal_values(random, N * K, 0.02f);
        for (size_t n = 0; n < N; n++)
            weight[n * K + channel] *= factor;
        return weight;
    }
};

TEST_F(balance, a_channel_that_stands_out_gets_its_factor_and_the_others_none) {
    const std::vector<float> weight = weight_with(17, 1 / 40.0f);
    const std::vector<float> v = balance_columns({rows(weight)}, K, {});
    const float others = v[0];
    for (size_t k = 0; k < K; k++)
        EXPECT_NEAR(v[k] / others, k == 17 ? 1 / 40.0f : 1.0f, k == 17 ? 0.3f / 40 : 0.0f) << k;
}

TEST_F(balance, where_no_channel_stands_out_there_are_no_factors) {
    EXPECT_TRUE(balance_columns({rows(weight_with(0, 1.0f))}, K, {}).empty());
}

TEST_F(balance, the_geometric_mean_is_one) {
    const std::vector<float> weight = weight_with(3, 1 / 60.0f);
    for (const auto & squares : {std::vector<float>(), std::vector<float>(K, 4.0f)}) {
        double logs = 0;
        for (const float f : balance_columns({rows(weight)}, K, squares))
            logs += std::log(double(f));
        EXPECT_NEAR(logs, 0.0, 1e-3);
    }
}

TEST_F(balance, rows_speak_equally_loud_whatever_their_scale) {
    std::vector<float> weight = weight_with(17, 1 / 40.0f);
    for (size_t k = 0; k < K; k++)
        weight[5 * K + k] *= 1e4f; // a row whose size would drown the others
    const std::vector<float> v = balance_columns({rows(weight)}, K, {});
    EXPECT_NEAR(v[17] / v[0], 1 / 40.0f, 0.3f / 40);
}

TEST_F(balance, weights_of_a_group_count_together) {
    const std::vector<float> a = weight_with(17, 1 / 40.0f), b = weight_with(90, 50.0f);
    const std::vector<float> v = balance_columns({rows(a), rows(b)}, K, {});
    // In each matrix alone the channel stands out by 40 or 50; with an ordinary second half it does by about 1.4 (rms
    // of 1 and 1/40) and by 35: only the second counts.
    EXPECT_EQ(v[17], v[0]);
    EXPECT_NEAR(v[90] / v[0], 50 / std::sqrt(2.0f), 10);
}

TEST_F(balance, with_data_the_factor_is_that_of_least_error) {
    const std::vector<float> weight = weight_with(17, 1 / 10.0f);
    std::vector<float> squares(K, 1.0f);
    squares[17] = 100.0f; // activation 10 times the others: v^2 = w / x = 1 / 100
    squares[40] = 25.0f;  // an activation of 5 with an ordinary weight: v^2 = 1 / 5
    const std::vector<float> v = balance_columns({rows(weight)}, K, squares);
    EXPECT_NEAR(v[17] / v[0], 0.1f, 0.02f);
    EXPECT_NEAR(v[40] / v[0], 1 / std::sqrt(5.0f), 0.1f);
}

TEST_F(balance, factors_are_finite_for_dead_and_broken_columns) {
    std::vector<float> weight = weight_with(17, 0.0f);
    weight[3] = std::numeric_limits<float>::quiet_NaN();
    std::vector<float> squares(K, 1.0f);
    squares[20] = 0;
    for (const auto & s : {std::vector<float>(), squares}) {
        for (const float f : balance_columns({rows(weight)}, K, s)) {
            EXPECT_TRUE(std::isfinite(f));
            EXPECT_GT(f, 0.0f);
        }
    }
    const std::vector<float> zero(N * K, 0.0f);
    EXPECT_TRUE(balance_columns({rows(zero)}, K, {}).empty());
}

TEST_F(balance, a_basis_keeps_products_and_comes_back) {
    basis in{make_rotation(K, 64, 5), std::vector<float>(K)};
    for (size_t k = 0; k < K; k++)
        in.balance[k] = std::exp(0.1f * float(k % 37) - 1.5f);
    std::vector<float> x = test::normal_values(random, K), w = test::normal_values(random, K);
    const std::vector<float> before = w;
    const double product = test::reference_product(x, w, 1, 1, K)[0];
    in.to_activation(x.data(), K);
    in.to_weight(w.data(), K);
    EXPECT_NEAR(test::reference_product(x, w, 1, 1, K)[0], product, 1e-3);
    in.from_weight(w.data(), K);
    EXPECT_LT(test::normalized_error(w, before), 1e-12);
}

} // namespace
} // namespace rknpu
