// Placement over domains: layers whole and in order, few switches, never more than there is.
#include "plan/placement.h"

#include <gtest/gtest.h>

#include <random>

namespace rknpu {
namespace {

std::vector<sized_weight> model(int n_layers, uint64_t attention, uint64_t experts, uint64_t head) {
    std::vector<sized_weight> weights;
    for (int i = 0; i < n_layers; i++) {
        const std::string b = "blk." + std::to_string(i) + ".";
        weights.push_back({b + "attn_q.weight", attention});
        weights.push_back({b + "ffn_down_exps.weight", experts});
    }
    weights.push_back({"output.weight", head});
    return weights;
}

TEST(placement, a_unit_is_a_layer_or_a_weight_of_none) {
    const auto units = placement_units(model(12, 3, 4, 5));
    ASSERT_EQ(units.size(), 13u);
    EXPECT_EQ(units[0].layer, -1);
    EXPECT_EQ(units[0].weights, std::vector<size_t>{24});
    for (int i = 0; i < 12; i++) { // by number: 10 after 9
        EXPECT_EQ(units[size_t(i) + 1].layer, i);
        EXPECT_EQ(units[size_t(i) + 1].bytes, 7u);
        EXPECT_EQ(units[size_t(i) + 1].weights, (std::vector<size_t>{2 * size_t(i), 2 * size_t(i) + 1}));
    }
}

TEST(placement, domains_are_filled_one_after_the_other) {
    const auto units = placement_units(model(6, 3, 4, 10));
    EXPECT_EQ(place_units(units, {20, 20, 20}, 1000), (std::vector<int>{0, 0, 1, 1, 2, 2, no_domain}));
    EXPECT_EQ(place_units(units, {20, 0, 30}, 1000), (std::vector<int>{0, 0, 2, 2, 2, 2, no_domain}));
}

TEST(placement, limits_are_the_chips_or_the_users) {
    const chip & soc = *find_chip("rk3588").value();
    EXPECT_EQ(limit_weights(soc, 0, 0).domain, uint64_t(4096 - 256) << 20);
    EXPECT_EQ(limit_weights(soc, 0, 0).total, UINT64_MAX);
    EXPECT_EQ(limit_weights(soc, 100, 300).domain, uint64_t(100) << 20);
    EXPECT_EQ(limit_weights(soc, 4096, 300).domain, uint64_t(4096 - 256) << 20);
    EXPECT_EQ(limit_weights(soc, 100, 300).total, uint64_t(300) << 20);
}

TEST(placement, the_total_limits_all_domains_together) {
    const auto units = placement_units(model(6, 3, 4, 10));
    EXPECT_EQ(place_units(units, {20, 20, 20}, 31), (std::vector<int>{0, 0, 1, 1, no_domain, no_domain, no_domain}));
    EXPECT_EQ(place_units(units, {20, 20}, 0), std::vector<int>(7, no_domain));
}

TEST(placement, smaller_layers_fit_behind_one_that_does_not) {
    const std::vector<sized_weight> weights = {{"blk.0.a.weight", 5}, {"blk.1.a.weight", 9}, {"blk.2.a.weight", 5}};
    EXPECT_EQ(place_units(placement_units(weights), {10}, 100), (std::vector<int>{0, no_domain, 0}));
}

TEST(placement, never_more_than_the_room_and_domains_never_go_back) {
    for (uint32_t seed = 1; seed <= 200; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937 random(seed);
        std::vector<sized_weight> weights;
        for (int i = 0; i < 40; i++)
            weights.push_back(
                {i % 9 == 0 ? "w" + std::to_string(i) : "blk." + std::to_string(i / 3) + ".w.weight", random() % 30});
        std::vector<uint64_t> room(random() % 5, 0);
        for (auto & r : room)
            r = random() % 100;
        const uint64_t total = random() % 400;
        const auto units = placement_units(weights);
        const auto domains = place_units(units, room, total);
        std::vector<uint64_t> used(room.size(), 0);
        uint64_t sum = 0;
        int last = 0;
        for (size_t i = 0; i < units.size(); i++) {
            if (domains[i] == no_domain) continue;
            EXPECT_GE(domains[i], last);
            last = domains[i];
            used[size_t(last)] += units[i].bytes;
            sum += units[i].bytes;
        }
        EXPECT_LE(sum, total);
        for (size_t d = 0; d < room.size(); d++)
            EXPECT_LE(used[d], room[d]);
    }
}

} // namespace
} // namespace rknpu
