// Which weights are multiplied as one, and what that is modelled to save.
#include "plan/merge.h"

#include <gtest/gtest.h>

namespace rknpu {
namespace {

matmul_plan plan_of(const char * name, int64_t K, int64_t N, format f = format::w4a8, int64_t n_matrices = 1,
                    int n_cores = 0) {
    plan_settings wishes;
    wishes.formats = f;
    wishes.n_cores = n_cores;
    return plan_weight({name, K, N, n_matrices}, *find_chip("rk3588").value(), wishes).value();
}

TEST(merge, takes_weights_of_one_activation_and_one_format) {
    const matmul_plan q = plan_of("blk.0.attn_q.weight", 2816, 4096), k = plan_of("blk.0.attn_k.weight", 2816, 2048);
    EXPECT_TRUE(can_merge(q, k));
    EXPECT_FALSE(can_merge(q, plan_of("blk.1.attn_k.weight", 2816, 2048)));
    EXPECT_FALSE(can_merge(q, plan_of("blk.0.attn_output.weight", 2816, 2048)));
    EXPECT_FALSE(can_merge(q, plan_of("blk.0.attn_k.weight", 2816, 2048, format::w8a8)));
    EXPECT_FALSE(can_merge(q, plan_of("blk.0.attn_k.weight", 2048, 2048)));
    EXPECT_FALSE(can_merge(q, with_shorter_segments(k)));
    // The next weight would not begin on a page.
    EXPECT_FALSE(can_merge(plan_of("blk.0.attn_q.weight", 96, 32, format::w8a8),
                           plan_of("blk.0.attn_k.weight", 96, 32, format::w8a8)));
    const matmul_plan gate = plan_of("blk.0.ffn_gate_exps.weight", 2048, 768, format::w4a8, 8);
    EXPECT_FALSE(can_merge(gate, plan_of("blk.0.ffn_up_exps.weight", 2048, 768, format::w4a8, 8)));
}

TEST(merge, rows_keep_their_order) {
    const std::vector<matmul_plan> plans = {plan_of("blk.0.ffn_gate.weight", 2816, 2112),
                                            plan_of("blk.0.ffn_down.weight", 2112, 2816),
                                            plan_of("blk.0.ffn_up.weight", 2816, 2112),
                                            plan_of("blk.0.attn_q.weight", 2816, 512),
                                            plan_of("blk.0.attn_k.weight", 2816, 512, format::w8a8),
                                            plan_of("blk.0.attn_v.weight", 2816, 256)};
    std::vector<const matmul_plan *> pointers;
    for (const matmul_plan & p : plans)
        pointers.push_back(&p);
    EXPECT_EQ(mergeable_rows(pointers), (std::vector<std::vector<size_t>>{{0, 2}, {1}, {3, 5}, {4}}));
}

TEST(merge, columns_follow_each_other_with_all_their_segments) {
    const matmul_plan q = plan_of("blk.0.attn_q.weight", 2816, 4096), k = plan_of("blk.0.attn_k.weight", 2816, 100);
    ASSERT_EQ(q.segments.size(), 2u);
    const merged_plan merged = plan_merged({&q, &k}, 0);
    EXPECT_EQ(merged.first_columns, (std::vector<size_t>{0, 2 * 4096}));
    EXPECT_EQ(merged.n_columns, 2 * 4096 + 2 * k.N_padded());
    size_t at = 0;
    for (const n_slice & slice : merged.slices) {
        EXPECT_EQ(slice.n_begin, at);
        at += slice.N_padded;
    }
    EXPECT_EQ(at, merged.n_columns);
    EXPECT_EQ(plan_merged({&q, &k}, 1).slices.size(), 1u);
}

// One fixed cost instead of two or three; the weights cross the bus once either way.
TEST(merge, saves_the_fixed_cost_of_runs) {
    for (const format f : all_formats) {
        const matmul_plan gate = plan_of("blk.0.ffn_gate.weight", 2816, 2112, f),
                          up = plan_of("blk.0.ffn_up.weight", 2816, 2112, f);
        const merged_plan merged = plan_merged({&gate, &up}, 0);
        const auto jobs = plan_merged_jobs(merged, gate, 1);
        ASSERT_EQ(jobs.size(), 1u) << format_name(f);
        const double saved = plan_us(gate, 1) + plan_us(up, 1) - jobs.front().cost.us;
        EXPECT_NEAR(saved, jobs.front().cost.fixed_us, 0.5 * jobs.front().cost.fixed_us) << format_name(f);
        EXPECT_TRUE(plan_merged_jobs(merged, gate, 64).empty());
    }
}

TEST(siblings, are_stacks_of_equal_jobs_that_read_one_activation) {
    const auto stack = [](const char * name, int64_t K = 2048, int64_t N = 1792, int64_t n = 32,
                          format f = format::w4a8) { return plan_of(name, K, N, f, n); };
    const matmul_plan gate = stack("blk.2.ffn_gate_exps.weight"), up = stack("blk.2.ffn_up_exps.weight");
    EXPECT_TRUE(are_siblings(gate, up));
    EXPECT_FALSE(can_merge(gate, up));
    EXPECT_FALSE(are_siblings(gate, stack("blk.3.ffn_up_exps.weight")));
    EXPECT_FALSE(are_siblings(gate, stack("blk.2.ffn_down_exps.weight")));
    EXPECT_FALSE(are_siblings(gate, stack("blk.2.ffn_up_exps.weight", 1024)));
    EXPECT_FALSE(are_siblings(gate, stack("blk.2.ffn_up_exps.weight", 2048, 1776)));
    EXPECT_FALSE(are_siblings(gate, stack("blk.2.ffn_up_exps.weight", 2048, 1792, 16)));
    EXPECT_FALSE(are_siblings(gate, stack("blk.2.ffn_up_exps.weight", 2048, 1792, 32, format::w8a8)));
    EXPECT_FALSE(are_siblings(gate, with_shorter_segments(up)));
    EXPECT_FALSE(are_siblings(plan_of("blk.2.ffn_gate.weight", 2048, 1792), plan_of("blk.2.ffn_up.weight", 2048, 1792)))
        << "these merge";
}

TEST(siblings, lie_together_in_the_rows_of_those_that_are_multiplied_together) {
    const std::vector<matmul_plan> plans = {
        plan_of("blk.0.ffn_up_exps.weight", 2048, 1792, format::w4a8, 32), plan_of("blk.0.attn_q.weight", 2048, 2048),
        plan_of("blk.0.ffn_down_exps.weight", 1792, 2048, format::w4a8, 32),
        plan_of("blk.0.ffn_gate_exps.weight", 2048, 1792, format::w4a8, 32), plan_of("blk.0.attn_k.weight", 2048, 512)};
    std::vector<const matmul_plan *> pointers;
    for (const matmul_plan & p : plans)
        pointers.push_back(&p);
    EXPECT_EQ(rows_multiplied_together(pointers), (std::vector<std::vector<size_t>>{{0, 3}, {1, 4}, {2}}));
    EXPECT_EQ(mergeable_rows(pointers), (std::vector<std::vector<size_t>>{{0}, {1, 4}, {2}, {3}}));
    EXPECT_DOUBLE_EQ(plan_us(pointers, 1, 4, 0), plan_us({&plans[0], &plans[3]}, 1, 4, 0) +
                                                     plan_us({&plans[1], &plans[4]}, 1, 4, 0) +
                                                     plan_us(plans[2], 1, 4));
}

// Eight jobs of two stacks take three rounds of three cores, where each stack alone would take two.
TEST(siblings, fill_rounds_that_one_stack_leaves_cores_idle_in) {
    for (const format f : all_formats) {
        const matmul_plan gate = plan_of("blk.0.ffn_gate_exps.weight", 2048, 1792, f, 32),
                          up = plan_of("blk.0.ffn_up_exps.weight", 2048, 1792, f, 32);
        const size_t M = size_t(gate.traits().digits);
        const double three = matrix_us(gate, M, 3), two = matrix_us(gate, M, 2), one = matrix_us(gate, M, 1);
        EXPECT_DOUBLE_EQ(plan_us(gate, 1, 4), three + one) << format_name(f);
        EXPECT_DOUBLE_EQ(plan_us({&gate, &up}, 1, 4, 0), 2 * three + two) << format_name(f);
        EXPECT_LT(2 * three + two, 0.9 * 2 * (three + one)) << format_name(f);
        // Rounds that are full anyway stay what they are.
        EXPECT_DOUBLE_EQ(plan_us({&gate, &up}, 1, 3, 0), 2 * plan_us(gate, 1, 3)) << format_name(f);
        // Of many rows every expert has some: 64 jobs instead of 32 and 32, whose last round is of another size.
        const double halves = 2 * plan_us(gate, 512, 4);
        EXPECT_NEAR(plan_us({&gate, &up}, 512, 4, 0), halves, 0.01 * halves) << format_name(f);
    }
}

// Jobs that run one after the other anyway gain nothing.
TEST(siblings, save_nothing_on_one_core) {
    const matmul_plan gate = plan_of("blk.0.ffn_gate_exps.weight", 2048, 1792, format::w4a8, 32, 1),
                      up = plan_of("blk.0.ffn_up_exps.weight", 2048, 1792, format::w4a8, 32, 1);
    const size_t M = size_t(gate.traits().digits);
    EXPECT_DOUBLE_EQ(plan_us(gate, 1, 4), 4 * matrix_us(gate, M, 1));
    EXPECT_DOUBLE_EQ(plan_us({&gate, &up}, 1, 4, 1), 8 * matrix_us(gate, M, 1));
}

} // namespace
} // namespace rknpu
