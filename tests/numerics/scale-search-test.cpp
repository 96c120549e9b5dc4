// The search for a scale: against exhaustive search, and at the edges.
#include "numerics/scale-search.h"

#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace rknpu {
namespace {

constexpr scale_method all_methods[] = {scale_method::absmax, scale_method::mse, scale_method::kl};

double squared_error(const std::vector<float> & x, const std::vector<float> & importance, row_scale s, int limit) {
    double sum = 0;
    for (size_t k = 0; k < x.size(); k++) {
        const float code = std::min(std::max(std::nearbyint(x[k] * s.inverse), -float(limit) - 1), float(limit));
        const double error = double(x[k]) - double(s.scale) * double(code);
        sum += error * error * (importance.empty() ? 1 : double(importance[k]));
    }
    return sum;
}

class scale_search : public testing::Test {
protected:
    std::mt19937 random{test::seed()};
    testing::ScopedTrace seed{__FILE__, __LINE__, test::seed_line()};

    row_scale find(scale_method method, const std::vector<float> & x, int limit,
                   const std::vector<float> & importance = {}) {
        return search_scale(method, x.data(), importance.empty() ? nullptr : importance.data(), x.size(), limit);
    }
    // The least error over 1200 scales of either sign.
    double least_error(const std::vector<float> & x, const std::vector<float> & importance, int limit) {
        const row_scale whole = find(scale_method::absmax, x, limit);
        double least = squared_error(x, importance, whole, limit);
        for (float part = 0.3f; part < 1.05f; part += 0.000625f) {
            for (const float sign : {1.0f, -1.0f}) {
                const row_scale s = {sign * whole.scale * part, sign * whole.inverse / part};
                least = std::min(least, squared_error(x, importance, s, limit));
            }
        }
        return least;
    }
};

TEST_F(scale_search, absmax_maps_the_largest_to_the_limit) {
    const row_scale s = find(scale_method::absmax, {0.5f, -3.5f, 1.0f}, 7);
    EXPECT_EQ(s.scale, 0.5f);
    EXPECT_EQ(s.inverse, 2.0f);
}

TEST_F(scale_search, mse_is_near_the_best_of_many_scales) {
    for (const size_t count : {256, 4096}) {
        for (const int limit : {7, 127}) {
            if (count == 256 && limit == 127) continue; // a rugged function of the scale
            SCOPED_TRACE("count " + std::to_string(count) + " limit " + std::to_string(limit));
            double error = 0, least = 0, whole = 0;
            for (int row = 0; row < 10; row++) {
                const std::vector<float> x = test::normal_values(random, count);
                error += squared_error(x, {}, find(scale_method::mse, x, limit), limit);
                least += least_error(x, {}, limit);
                whole += squared_error(x, {}, find(scale_method::absmax, x, limit), limit);
            }
            EXPECT_LT(error, 1.01 * least);
            EXPECT_LT(error, whole);
        }
    }
}

TEST_F(scale_search, mse_weighs_by_importance) {
    for (const int limit : {7, 127}) {
        double error = 0, least = 0, unweighted = 0;
        for (int row = 0; row < 10; row++) {
            const std::vector<float> x = test::normal_values(random, 4096);
            std::vector<float> importance = test::normal_values(random, x.size());
            for (float & i : importance)
                i = std::exp(i);
            error += squared_error(x, importance, find(scale_method::mse, x, limit, importance), limit);
            least += least_error(x, importance, limit);
            unweighted += squared_error(x, importance, find(scale_method::mse, x, limit), limit);
        }
        EXPECT_LT(error, unweighted) << limit;
        EXPECT_LT(error, 1.01 * least) << limit;
    }
}

TEST_F(scale_search, mse_is_never_worse_than_absmax) {
    for (int row = 0; row < 300; row++) {
        std::vector<float> x = test::normal_values(random, 1 + random() % 64);
        if (row % 3 == 0) x[0] *= 30;
        const double energy = squared_error(x, {}, {0, 0}, 1);
        for (const int limit : {7, 127}) { // the sums of the search are f32
            const double whole = squared_error(x, {}, find(scale_method::absmax, x, limit), limit);
            EXPECT_LE(squared_error(x, {}, find(scale_method::mse, x, limit), limit), whole + 1e-6 * energy) << row;
        }
    }
}

TEST_F(scale_search, scale_and_inverse_belong_together) {
    const std::vector<float> x = test::normal_values(random, 300);
    for (const scale_method method : all_methods) {
        for (const int limit : {7, 127}) {
            const row_scale s = find(method, x, limit);
            EXPECT_NEAR(s.scale * s.inverse, 1, 1e-6);
        }
    }
}

// The divergence of a clip from the definition: mass moved to the bin of the rounded centre, bin by bin.
double divergence(const std::vector<float> & x, float absmax, float clip, int limit) {
    std::vector<double> before(2048, 0.0), after(2048, 0.0);
    const auto bin_of = [&](float v) { return size_t(std::min(std::max((v / absmax + 1) * 1024, 0.0f), 2047.0f)); };
    for (const float v : x)
        before[bin_of(v)] += 1.0 / double(x.size());
    for (size_t b = 0; b < 2048; b++) {
        const float centre = (float(b) + 0.5f) / 1024 * absmax - absmax, scale = clip / float(limit);
        const float code = std::min(std::max(std::nearbyint(centre / scale), -float(limit) - 1), float(limit));
        after[bin_of(code * scale)] += before[b];
    }
    double sum = 0;
    for (size_t b = 0; b < 2048; b++) {
        if (before[b] > 0) sum += before[b] * std::log(before[b] / (after[b] + 1e-9));
    }
    return sum;
}

TEST_F(scale_search, kl_has_the_least_divergence) {
    for (const size_t count : {200, 4000}) {
        for (const int limit : {7, 127}) {
            SCOPED_TRACE("count " + std::to_string(count) + " limit " + std::to_string(limit));
            const std::vector<float> x = test::normal_values(random, count);
            float absmax = 0;
            for (const float v : x)
                absmax = std::max(absmax, std::fabs(v));
            const float found = find(scale_method::kl, x, limit).scale * float(limit);
            EXPECT_LE(found, absmax * 1.0001f);
            const double reached = divergence(x, absmax, found, limit);
            std::vector<float> sorted;
            for (const float v : x)
                sorted.push_back(std::fabs(v));
            std::sort(sorted.begin(), sorted.end());
            const float from = sorted[size_t(0.996 * double(count))];
            for (int i = 0; i <= 20; i++) // few bins have ties between codes, where the two may differ
                EXPECT_LE(reached, divergence(x, absmax, from + (absmax - from) * float(i) / 20, limit) * 1.05) << i;
        }
    }
}

TEST_F(scale_search, rows_without_values_or_importance_are_no_trouble) {
    for (const scale_method method : all_methods) {
        for (const float value : {0.0f, 1e-41f}) {
            const row_scale s = find(method, std::vector<float>(50, value), 7);
            EXPECT_EQ(s.scale, 0.0f);
            EXPECT_EQ(s.inverse, 0.0f);
        }
        const std::vector<float> x = test::normal_values(random, 50), none(50, 0.0f);
        EXPECT_GT(find(method, x, 7, none).scale, 0.0f);
        for (const float size : {1e-35f, 1e-30f, 1e30f, 3e38f}) {
            const row_scale s = find(method, {size, -size / 2, size / 3}, 7);
            EXPECT_TRUE(std::isfinite(s.scale) && std::isfinite(s.inverse)) << size;
            EXPECT_GT(std::fabs(s.scale), 0.1f * size) << size;
        }
        EXPECT_NEAR(find(method, {-2.0f}, 7).scale, 2.0f / 7, 0.03f);
    }
}

} // namespace
} // namespace rknpu
