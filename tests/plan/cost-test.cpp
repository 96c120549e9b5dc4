// The timing model against published single runs (modelled / measured by others); sources in each row.
#include "plan/cost.h"

#include <gtest/gtest.h>

#include <utility>

namespace rknpu {
namespace {

struct published {
    const char * source;
    element type;
    size_t M, K, N;
    double measured_us;
};

// Native layouts, one core, clocks pinned: unimatrix099/rk-llama.cpp docs (int4-research, decode-research).
const published runs[] = {
    {"int8 128x1024x8192", element::i8, 128, 1024, 8192, 1144},
    {"int8 128x2048x2048", element::i8, 128, 2048, 2048, 797},
    {"int8 128x2048x8192", element::i8, 128, 2048, 8192, 3102},
    {"int4 128x1024x8192", element::i4, 128, 1024, 8192, 593},
    {"int4 128x2048x2048", element::i4, 128, 2048, 2048, 300},
    {"int4 128x2048x8192", element::i4, 128, 2048, 8192, 1110},
    {"int8 1x2048x2048", element::i8, 1, 2048, 2048, 390},
    {"int4 1x2048x2048", element::i4, 1, 2048, 2048, 203},
    {"int8 1x2560x87392", element::i8, 1, 2560, 87392, 20000},
};

TEST(cost, single_runs_within_a_sixth_of_published_ones) {
    for (const published & run : runs) {
        const double modelled = run_us(*find_chip("rk3588").value(), run.type, run.M, run.K, run.N, 1);
        EXPECT_NEAR(modelled / run.measured_us, 1.0, 1.0 / 6) << run.source;
    }
}

TEST(cost, three_cores_stream_what_was_published) {
    // unimatrix099 decode-research section 2: a node of three int4 slices, microseconds.
    const chip & soc = *find_chip("rk3588").value();
    const struct {
        size_t K, N;
        double measured_us;
    } nodes[] = {{2048, 2048, 123}, {2048, 16384, 587}, {8192, 2048, 325}, {4096, 4096, 315}};
    for (const auto & node : nodes) {
        EXPECT_NEAR(node_us(soc, element::i4, 1, node.K, node.N, 3) / node.measured_us, 1.0, 0.03)
            << node.K << "x" << node.N;
    }
}

TEST(cost, rows_are_free_within_a_weight_pass) {
    const chip & soc = *find_chip("rk3588").value();
    EXPECT_DOUBLE_EQ(run_us(soc, element::i8, 1, 4096, 4096, 1), run_us(soc, element::i8, 32, 4096, 4096, 1));
    EXPECT_GT(run_us(soc, element::i8, 33, 4096, 4096, 1),
              1.9 * run_us(soc, element::i8, 32, 4096, 4096, 1) - soc.run_us * 2);
}

npu_run job(element type, size_t M, size_t K, size_t N, io_layout layout = io_layout::native) {
    return {type, M, K, N, layout};
}

TEST(cost, normal_int4_is_a_pass_per_row) {
    // wtwver, best of 30: 189.6 us a row at 2048 x 2048, 3001.6 at 8192 x 8192; unimatrix099 agrees.
    const chip & soc = *find_chip("rk3588").value();
    for (const auto & [K, us] : {std::pair<size_t, double>{2048, 189.6}, {8192, 3001.6}}) {
        const double modelled = cost_of(soc, job(element::i4, 128, K, K, io_layout::normal), 1).us;
        EXPECT_NEAR(modelled / (128 * us), 1.0, 0.02) << K;
        EXPECT_GT(modelled, 50 * run_us(soc, element::i4, 16, K, K, 1));
    }
}

TEST(cost, normal_layout_costs_nothing_for_one_row) {
    const chip & soc = *find_chip("rk3588").value();
    for (const element type : {element::f16, element::i8, element::i4}) {
        const npu_run native = job(type, 1, 2048, 2048), normal = job(type, 1, 2048, 2048, io_layout::normal);
        EXPECT_DOUBLE_EQ(cost_of(soc, native, 1).us, cost_of(soc, normal, 1).us);
    }
}

TEST(cost, weights_and_multiplication_take_turns_only_where_the_activation_fills_its_cache) {
    // wtwver, cold, int8 8192 x 8192: 8535 us at 8 rows, 9839 at 16; and every 16 rows are a pass.
    const chip & soc = *find_chip("rk3588").value();
    const auto work = [&](size_t M, size_t K) { return work_us(soc, job(element::i8, M, K, 8192), 1); };
    EXPECT_DOUBLE_EQ(work(8, 8192), work(1, 8192));
    const run_cost full = cost_of(soc, job(element::i8, 16, 8192, 8192), 1);
    EXPECT_DOUBLE_EQ(full.us, full.fixed_us + full.weight_us + full.mac_us);
    EXPECT_NEAR(work(32, 8192), 2 * work(16, 8192), 1e-6);
    EXPECT_DOUBLE_EQ(work(32, 4096), work(1, 4096)); // a smaller K leaves room
}

TEST(cost, few_rows_multiply_as_long_as_sixteen) {
    const chip & soc = *find_chip("rk3588").value();
    EXPECT_DOUBLE_EQ(cost_of(soc, job(element::f16, 1, 4096, 512), 1).mac_us,
                     cost_of(soc, job(element::f16, 16, 4096, 512), 1).mac_us);
    // f16 at K = 8192 has 8 rows a pass: 128 rows multiply as long as 256.
    EXPECT_DOUBLE_EQ(cost_of(soc, job(element::f16, 128, 8192, 512), 1).mac_us, 256.0 * 8192 * 512 / 512 * 1e-3);
}

TEST(cost, the_loop_order_is_the_cheaper_one_where_the_runtime_has_both) {
    // unimatrix099 decode 1m: f16 2048 x 2048 x 512 in 7.5 ms, 2048 x 4096 x 512 in 49.7.
    const chip & soc = *find_chip("rk3588").value();
    EXPECT_NEAR(run_us(soc, element::f16, 2048, 2048, 512, 1) / 7500, 1, 0.2);
    EXPECT_NEAR(run_us(soc, element::f16, 2048, 4096, 512, 1) / 49700, 1, 0.05);
}

TEST(cost, a_long_k_is_the_sum_of_its_segments) {
    const chip & soc = *find_chip("rk3588").value();
    const auto work = [&](size_t K) { return work_us(soc, job(element::f16, 64, K, 512), 1); };
    EXPECT_NEAR(work(8192 * 2 + 512), 2 * work(8192) + work(512), 1e-6);
}

TEST(cost, conditions_change_what_they_name) {
    const chip & soc = *find_chip("rk3588").value();
    const npu_run weights = job(element::i8, 1, 4096, 4096), macs = job(element::i8, 128, 1024, 8192);
    conditions slow_memory, slow_clock, serial;
    slow_memory.stream = slow_memory.stream_all = 0.5;
    slow_clock.npu_ghz = 0.5;
    serial.serial = 0.5;
    serial.serial_max_us = 300;
    EXPECT_NEAR(work_us(soc, weights, 1, slow_memory), 2 * work_us(soc, weights, 1), 1e-6);
    EXPECT_NEAR(work_us(soc, weights, 3, slow_memory), 2 * work_us(soc, weights, 3), 1e-6);
    const run_cost cost = cost_of(soc, macs, 1);
    EXPECT_DOUBLE_EQ(work_us(soc, macs, 1, slow_clock), 2 * cost.mac_us);
    EXPECT_DOUBLE_EQ(work_us(soc, macs, 1, serial), work_us(soc, macs, 1) + 300);
    EXPECT_GT(cost.weight_us + cost.mac_us, 600);
}

TEST(cost, traffic_counts_every_pass) {
    const chip & soc = *find_chip("rk3588").value();
    const run_cost cost = cost_of(soc, job(element::i8, 64, 4096, 1024), 1); // two passes of 32 rows
    EXPECT_DOUBLE_EQ(cost.dram_bytes, 2 * 4096.0 * 1024 + 64 * 4096.0 + 64 * 1024 * 4.0);
    EXPECT_DOUBLE_EQ(node_cost(soc, job(element::i8, 64, 4096, 3072), 3).dram_bytes, 3 * cost.dram_bytes);
}

TEST(cost, normal_layout_falls_back_to_a_pass_per_row_where_k_is_too_long) {
    // marfrit's bench: int8 512 x 15360 x 4096 at 0.02 TOPS (one digit) in normal layout.
    const chip & soc = *find_chip("rk3588").value();
    const double us = cost_of(soc, job(element::i8, 512, 15360, 4096, io_layout::normal), 1).us;
    EXPECT_NEAR(2.0 * 512 * 15360 * 4096 / us * 1e-6, 0.02, 0.005);
    EXPECT_LT(cost_of(soc, job(element::i8, 512, 15360, 4096), 1).us * 10, us);
}

} // namespace
} // namespace rknpu
