// The budget solver against all combinations of small random cases, with a printed seed.
#include "plan/budget.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace rknpu {
namespace {

using groups_of = std::vector<std::vector<budget_option>>;

// The smallest loss within the budget by trying everything; infinity: there is none.
double smallest_loss(const groups_of & groups, double budget, size_t group = 0, double cost = 0, double loss = 0) {
    if (group == groups.size()) return cost <= budget ? loss : std::numeric_limits<double>::infinity();
    double best = std::numeric_limits<double>::infinity();
    for (const budget_option & o : groups[group])
        best = std::min(best, smallest_loss(groups, budget, group + 1, cost + o.cost, loss + o.loss));
    return best;
}

groups_of random_groups(std::mt19937 & random) {
    groups_of groups(1 + random() % 5);
    for (auto & options : groups) {
        options.resize(1 + random() % 4);
        for (auto & o : options) // few distinct values, so that equal costs and losses occur
            o = {double(random() % 12), double(random() % 12) / 8};
    }
    return groups;
}

void expect_sums(const groups_of & groups, const budget_choice & chosen) {
    ASSERT_EQ(chosen.options.size(), groups.size());
    double cost = 0, loss = 0;
    for (size_t g = 0; g < groups.size(); g++) {
        ASSERT_LT(chosen.options[g], groups[g].size());
        cost += groups[g][chosen.options[g]].cost;
        loss += groups[g][chosen.options[g]].loss;
    }
    EXPECT_DOUBLE_EQ(chosen.cost, cost);
    EXPECT_DOUBLE_EQ(chosen.loss, loss);
}

TEST(budget, is_the_best_of_all_combinations) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int i = 0; i < 2000; i++) {
        const groups_of groups = random_groups(random);
        const double budget = double(random() % 50);
        const double best = smallest_loss(groups, budget);
        const auto chosen = choose_within(groups, budget);
        ASSERT_EQ(chosen.ok(), std::isfinite(best)) << "case " << i;
        if (!chosen.ok()) continue;
        expect_sums(groups, chosen.value());
        EXPECT_LE(chosen.value().cost, budget) << "case " << i;
        EXPECT_DOUBLE_EQ(chosen.value().loss, best) << "case " << i;
    }
}

TEST(budget, a_thinned_front_stays_within_the_budget) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int i = 0; i < 500; i++) {
        const groups_of groups = random_groups(random);
        const double budget = double(random() % 50);
        const double best = smallest_loss(groups, budget);
        const auto chosen = choose_within(groups, budget, 2);
        ASSERT_EQ(chosen.ok(), std::isfinite(best)) << "case " << i;
        if (!chosen.ok()) continue;
        expect_sums(groups, chosen.value());
        EXPECT_LE(chosen.value().cost, budget) << "case " << i;
        EXPECT_GE(chosen.value().loss, best) << "case " << i;
    }
}

TEST(budget, more_budget_is_never_worse) {
    // 40 groups of 5 options, as many as a model has with thirds of its layers.
    std::mt19937 random(5);
    std::uniform_real_distribution<double> uniform(0, 1);
    groups_of groups(40);
    for (auto & options : groups) {
        for (int o = 1; o <= 5; o++)
            options.push_back({o + uniform(random), std::pow(0.2, o) * uniform(random)});
    }
    double before = std::numeric_limits<double>::infinity();
    for (const double budget : {90.0, 100.0, 120.0, 150.0, 240.0}) {
        const auto chosen = choose_within(groups, budget);
        ASSERT_TRUE(chosen.ok());
        EXPECT_LE(chosen.value().cost, budget);
        EXPECT_LT(chosen.value().loss, before);
        before = chosen.value().loss;
    }
}

TEST(budget, too_little_is_said_in_words) {
    const auto refused = choose_within({{{3, 0}}, {{4, 1}, {5, 0}}}, 6.5);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), errc::unsupported);
    EXPECT_NE(refused.status().message().find("the cheapest choice costs 7, more than the budget of 6.5"),
              std::string::npos);
    EXPECT_TRUE(choose_within({}, 0).ok());
}

} // namespace
} // namespace rknpu
