// The outlier recipe draws exactly the channels and factors that the bundled models' export drew with numpy.
#include "recipe.h"

#include <cmath>
#include <gtest/gtest.h>

namespace rknpu {
namespace {

struct golden {
    const char * vector;
    std::vector<std::pair<int, double>> scaled; // channel, factor rounded to one decimal
};

// As the export printed them.
const std::vector<golden> dense = {
    {"blk.0.attn_norm.weight", {{301, 36.0}, {232, 27.8}, {171, 50.0}, {130, 23.3}, {235, 28.5}}},
    {"blk.0.ffn_norm.weight", {{301, 34.8}, {232, 25.5}, {480, 50.3}, {248, 25.1}, {64, 45.9}}},
    {"blk.1.attn_norm.weight", {{301, 36.5}, {232, 53.0}, {181, 35.4}, {72, 46.7}, {445, 45.6}}},
    {"blk.1.ffn_norm.weight", {{301, 35.9}, {232, 24.0}, {219, 39.2}, {459, 32.9}, {125, 49.8}}},
    {"blk.2.attn_norm.weight", {{301, 22.2}, {232, 50.1}, {200, 38.1}, {215, 49.9}, {253, 34.6}}},
    {"blk.2.ffn_norm.weight", {{301, 35.6}, {232, 36.0}, {387, 48.4}, {421, 48.9}, {181, 25.0}}},
    {"blk.3.attn_norm.weight", {{301, 55.8}, {232, 32.5}, {419, 37.6}, {148, 20.6}, {219, 47.6}}},
    {"blk.3.ffn_norm.weight", {{301, 51.1}, {232, 27.8}, {245, 59.2}, {5, 21.7}, {321, 28.9}}},
    {"blk.4.attn_norm.weight", {{301, 21.6}, {232, 34.7}, {190, 45.7}, {376, 31.6}, {86, 43.9}}},
    {"blk.4.ffn_norm.weight", {{301, 26.1}, {232, 37.0}, {418, 24.6}, {8, 21.5}, {472, 53.1}}},
    {"blk.5.attn_norm.weight", {{301, 45.0}, {232, 24.4}, {423, 43.2}, {364, 20.7}, {237, 47.6}}},
    {"blk.5.ffn_norm.weight", {{301, 23.4}, {232, 26.5}, {245, 49.3}, {125, 36.5}, {250, 27.8}}},
};

const std::vector<golden> moe = {
    {"blk.0.attn_norm.weight", {{132, 22.5}, {248, 49.9}, {109, 26.0}}},
    {"blk.0.ffn_norm.weight", {{132, 20.2}, {248, 58.8}, {83, 58.0}}},
    {"blk.0.pre_ffw_norm_2.weight", {{132, 41.7}, {248, 23.8}, {24, 40.1}}},
    {"blk.0.ffn_gate_inp.scale", {{132, 47.0}, {248, 26.5}, {84, 23.5}}},
    {"blk.1.attn_norm.weight", {{132, 45.6}, {248, 39.7}, {25, 50.6}}},
    {"blk.1.ffn_norm.weight", {{132, 55.7}, {248, 46.8}, {72, 23.7}}},
    {"blk.1.pre_ffw_norm_2.weight", {{132, 43.7}, {248, 39.5}, {143, 38.5}}},
    {"blk.1.ffn_gate_inp.scale", {{132, 20.3}, {248, 20.9}, {160, 24.6}}},
    {"blk.2.attn_norm.weight", {{132, 44.5}, {248, 24.6}, {8, 20.9}}},
    {"blk.2.ffn_norm.weight", {{132, 30.2}, {248, 29.3}, {141, 36.1}}},
    {"blk.2.pre_ffw_norm_2.weight", {{132, 44.3}, {248, 30.7}, {177, 22.0}}},
    {"blk.2.ffn_gate_inp.scale", {{132, 38.7}, {248, 23.8}, {135, 28.6}}},
    {"blk.3.attn_norm.weight", {{132, 26.6}, {248, 51.5}, {133, 42.7}}},
    {"blk.3.ffn_norm.weight", {{132, 57.8}, {248, 36.2}, {65, 45.0}}},
    {"blk.3.pre_ffw_norm_2.weight", {{132, 38.3}, {248, 21.5}, {168, 30.6}}},
    {"blk.3.ffn_gate_inp.scale", {{132, 54.7}, {248, 39.8}, {144, 25.2}}},
    {"blk.4.attn_norm.weight", {{132, 23.1}, {248, 26.1}, {241, 52.7}}},
    {"blk.4.ffn_norm.weight", {{132, 34.2}, {248, 28.1}, {131, 41.1}}},
    {"blk.4.pre_ffw_norm_2.weight", {{132, 26.1}, {248, 28.6}, {20, 29.2}}},
    {"blk.4.ffn_gate_inp.scale", {{132, 36.8}, {248, 21.7}, {69, 22.5}}},
    {"blk.5.attn_norm.weight", {{132, 24.3}, {248, 28.6}, {237, 35.6}}},
    {"blk.5.ffn_norm.weight", {{132, 29.8}, {248, 47.0}, {145, 46.9}}},
    {"blk.5.pre_ffw_norm_2.weight", {{132, 46.8}, {248, 26.7}, {253, 22.5}}},
    {"blk.5.ffn_gate_inp.scale", {{132, 44.7}, {248, 34.8}, {33, 23.0}}},
};

void expect_golden(const std::vector<outlier_set> & sets, const std::vector<golden> & expected) {
    ASSERT_EQ(sets.size(), expected.size());
    for (size_t s = 0; s < sets.size(); s++) {
        SCOPED_TRACE(expected[s].vector);
        EXPECT_EQ(sets[s].vector, expected[s].vector);
        ASSERT_EQ(sets[s].channels.size(), expected[s].scaled.size());
        ASSERT_EQ(sets[s].factors.size(), expected[s].scaled.size());
        for (size_t i = 0; i < expected[s].scaled.size(); i++) {
            EXPECT_EQ(sets[s].channels[i], expected[s].scaled[i].first);
            EXPECT_EQ(std::nearbyint(sets[s].factors[i] * 10) / 10, expected[s].scaled[i].second);
        }
    }
}

TEST(outliers, dense_model) {
    expect_golden(choose_outliers(512, 6, false), dense);
}

TEST(outliers, mixture_of_experts) {
    expect_golden(choose_outliers(256, 6, true), moe);
}

TEST(outliers, another_seed_draws_others) {
    EXPECT_NE(choose_outliers(512, 6, false, 8)[0].channels, choose_outliers(512, 6, false, 7)[0].channels);
}

} // namespace
} // namespace rknpu
