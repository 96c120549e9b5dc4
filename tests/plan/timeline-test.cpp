// Schedules of jobs on several cores against sums by hand, energy, and the parts of the timing model that only boards
// of other conditions show.
#include "plan/energy.h"
#include "plan/timeline.h"

#include <gtest/gtest.h>

#include <random>

namespace rknpu {
namespace {

const chip & soc() {
    return *find_chip("rk3588").value();
}

// Weight-bound: 16 MiB of weights for one row.
const npu_run streaming = {element::i8, 1, 4096, 4096};
// Bound by the multipliers whatever the other cores do.
const npu_run multiplying = {element::i8, 128, 1024, 8192};

double us(const npu_run & run, int n_active) {
    return cost_of(soc(), run, n_active).us;
}

TEST(timeline, one_core_takes_the_sum) {
    timeline line(soc());
    double sum = 0;
    for (const npu_run & run : {streaming, multiplying, npu_run{element::f16, 7, 256, 320}}) {
        line.add(0, run, 0, 0);
        sum += us(run, 1);
    }
    EXPECT_NEAR(line.settle(), sum, 1e-6);
    EXPECT_NEAR(line.busy_us(0), sum, 1e-6);
    EXPECT_DOUBLE_EQ(line.busy_us(1), 0);
}

TEST(timeline, a_job_waits_until_it_is_ready_and_behind_holds) {
    timeline line(soc());
    line.add(0, streaming, 0, 500);
    line.hold(0, 70);
    line.add(0, streaming, 0, 0);
    EXPECT_NEAR(line.settle(), 500 + 70 + 2 * us(streaming, 1), 1e-6);
    EXPECT_NEAR(line.busy_us(0), 2 * us(streaming, 1), 1e-6);
}

TEST(timeline, three_cores_share_the_memory) {
    timeline two(soc()), three(soc());
    for (int core = 0; core < 3; core++) {
        if (core < 2) two.add(core, streaming, 0, 0);
        three.add(core, streaming, 0, 0);
    }
    EXPECT_NEAR(two.settle(), us(streaming, 1), 1e-6); // 22.3 GB/s are there
    EXPECT_NEAR(three.settle(), us(streaming, 3), 1e-6);
    EXPECT_GT(us(streaming, 3), us(streaming, 1) * 1.05);
}

TEST(timeline, a_core_that_is_done_leaves_its_share) {
    // Core 2 streams half as much: while three stream each has 31.6 / 3, then two have what one core can take.
    timeline line(soc());
    npu_run half = streaming;
    half.N /= 2;
    line.add(0, streaming, 0, 0);
    line.add(1, streaming, 0, 0);
    line.add(2, half, 0, 0);
    const double shared = cost_of(soc(), half, 3).us - soc().run_us;
    const double rest = (us(streaming, 1) - soc().run_us) / 2;
    EXPECT_NEAR(line.settle(), soc().run_us + shared + rest, 1e-6);
}

TEST(timeline, multiplication_is_not_shared) {
    timeline line(soc());
    for (int core = 0; core < 3; core++)
        line.add(core, multiplying, 0, 0);
    EXPECT_NEAR(line.settle(), us(multiplying, 1), 1e-6);
}

TEST(timeline, a_domain_switch_stops_all_cores) {
    timeline line(soc(), {}, 100);
    line.add(0, streaming, 0, 0);
    line.add(1, streaming, 1, 1); // waits for core 0, then pays
    line.add(2, streaming, 0, 2); // due later: does not overtake
    const double alone = us(streaming, 1);
    EXPECT_NEAR(line.settle(), 3 * alone + 200, 1e-6);
    EXPECT_EQ(line.switches(), 2u);
    EXPECT_NEAR(line.end_us(1), 2 * alone + 100, 1e-6);
    EXPECT_NEAR(line.busy_us(1), alone, 1e-6);
}

TEST(timeline, what_is_placed_shares_with_what_comes_later) {
    timeline line(soc());
    line.add(0, streaming, 0, 0);
    line.add(1, streaming, 0, 0);
    const double placed = line.settle();
    line.add(2, streaming, 0, 0);
    const double last = line.settle();
    EXPECT_GT(last, placed);
    EXPECT_LE(last, us(streaming, 3) + 1e-6);
    EXPECT_DOUBLE_EQ(line.end_us(0), placed);
}

TEST(timeline, the_order_of_filling_the_queues_does_not_matter) {
    std::mt19937 random(11);
    for (int round = 0; round < 20; round++) {
        std::vector<std::pair<int, npu_run>> jobs;
        for (int i = 0; i < 60; i++)
            jobs.push_back({int(random() % 3), {element::i8, 1 + random() % 64, 512, 256 + random() % 64 * 32}});
        timeline mixed(soc()), by_core(soc());
        for (const auto & [core, run] : jobs)
            mixed.add(core, run, 0, 0);
        for (int core = 2; core >= 0; core--)
            for (const auto & job : jobs)
                if (job.first == core) by_core.add(core, job.second, 0, 0);
        EXPECT_DOUBLE_EQ(mixed.settle(), by_core.settle());
        double busy = 0;
        for (int core = 0; core < 3; core++) {
            EXPECT_DOUBLE_EQ(mixed.busy_us(core), by_core.busy_us(core));
            busy += mixed.busy_us(core);
        }
        EXPECT_LT(mixed.end_us(), busy);
        EXPECT_GE(mixed.end_us() * 3 + 1e-6, busy);
    }
}

TEST(timeline, time_stays_exact_after_hours) {
    timeline line(soc());
    const double hours = 4 * 3600e6;
    const npu_run small = {element::i4, 1, 32, 64};
    for (int i = 0; i < 100; i++)
        line.add(i % 3, small, 0, hours);
    EXPECT_NEAR(line.settle() - hours, 34 * us(small, 3), 0.01);
}

TEST(energy, is_the_sum_of_its_parts) {
    const power watts = {2, 0.5, 3};
    EXPECT_DOUBLE_EQ(energy_uj(watts, {10, 0, 0}), 20);   // 2 W for 10 us
    EXPECT_DOUBLE_EQ(energy_uj(watts, {0, 1e6, 0}), 500); // a GB/s for a ms
    EXPECT_DOUBLE_EQ(energy_uj(watts, {0, 0, 10}), 30);
    EXPECT_DOUBLE_EQ(energy_uj(watts, {10, 1e6, 10}), 550);
}

TEST(energy, constants_give_the_published_differences_to_idle) {
    // invisiofficial: 2.8-4.0 W above idle while the NPU generates text, 6.2-8.0 W while four CPU cores do. The NPU
    // streams 26 GB/s with its cores busy two thirds of a second, one CPU core works; four CPU cores read 23 GB/s.
    const power watts = power_of(soc());
    const double npu_w = energy_uj(watts, {3 * 2e6 / 3, 26e9, 1e6}) * 1e-6;
    const double cpu_w = energy_uj(watts, {0, 23e9, 4e6}) * 1e-6;
    EXPECT_TRUE(npu_w > 2.8 && npu_w < 4.0) << npu_w;
    EXPECT_TRUE(cpu_w > 6.2 && cpu_w < 8.0) << cpu_w;
}

} // namespace
} // namespace rknpu
