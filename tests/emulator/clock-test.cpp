// The virtual clock and the energy account: sums of the timing model, whatever the PC takes.
#include "plan/cost.h"
#include "plan/energy.h"
#include "plan/timeline.h"
#include "support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <thread>

namespace emulator_test {
namespace {

constexpr int i8 = abi::i8_i8_to_i32;
constexpr uint64_t us_in_ns = 1000;

const rknpu::chip & soc() {
    return *rknpu::find_chip("rk3588").value();
}

rknpu::npu_run as_run(const abi::matmul_info & what) {
    return {what.type == abi::i4_i4_to_i16 ? rknpu::element::i4 : rknpu::element::i8, size_t(what.M), size_t(what.K),
            size_t(what.N), what.AC_layout == abi::layout_native ? rknpu::io_layout::native : rknpu::io_layout::normal};
}

double run_ns(const abi::matmul_info & what, int n_active, const rknpu::conditions & where = {}) {
    return rknpu::cost_of(soc(), as_run(what), n_active, where).us * us_in_ns;
}

double sync_ns(uint64_t bytes) {
    return (soc().call_us + double(bytes) / soc().sync_gb_s * 1e-3) * us_in_ns;
}

// A rig on one core, bound and synced.
struct core_rig {
    core_rig(int core, const abi::matmul_info & what) : r(what) {
        EXPECT_EQ(rt().matmul_set_core_mask(r.ctx, 1 << core), 0);
        r.fill(uint64_t(core));
        r.sync_inputs();
        EXPECT_EQ(r.bind(), 0);
    }
    rig r;
};

// What a thread of its own does to the counters.
template <class Body> rknn_emu_stats change_by(Body && body) {
    const rknn_emu_stats before = stats();
    std::thread(body).join();
    rknn_emu_stats after = stats();
    for (int i = 0; i < RKNN_EMU_CORES; i++)
        after.busy_ns_of_core[i] -= before.busy_ns_of_core[i];
#define RKNN_EMU_FIELD(name, meaning) after.name -= before.name;
    RKNN_EMU_COUNTERS(RKNN_EMU_FIELD)
#undef RKNN_EMU_FIELD
    return after;
}

TEST(clock, one_core_takes_the_sum_of_the_model) {
    for (const int ac_layout : {abi::layout_native, abi::layout_norm}) {
        const abi::matmul_info what = info(i8, 64, 2048, 512, abi::layout_native, ac_layout);
        core_rig one(1, what);
        const rknn_emu_stats change = change_by([&] {
            for (int i = 0; i < 5; i++)
                EXPECT_EQ(one.r.run(), 0);
        });
        EXPECT_NEAR(double(change.virtual_ns), 5 * run_ns(what, 1), 2) << ac_layout;
        EXPECT_NEAR(double(change.busy_ns_of_core[1]), 5 * run_ns(what, 1), 2);
        EXPECT_EQ(change.busy_ns_of_core[0], 0u);
        EXPECT_EQ(change.calls_ns, 0u);
    }
}

TEST(clock, three_cores_run_at_once_and_share_the_memory) {
    const abi::matmul_info what = info(i8, 1, 2048, 2048);
    core_rig rigs[3] = {{0, what}, {1, what}, {2, what}};
    const rknn_emu_stats change = change_by([&] {
        std::vector<std::thread> drivers;
        for (core_rig & one : rigs)
            drivers.emplace_back([&one] {
                for (int i = 0; i < 4; i++)
                    EXPECT_EQ(one.r.run(), 0);
            });
        for (std::thread & driver : drivers)
            driver.join();
    });
    // Each rig was prepared after the one before: two syncs and three bindings.
    const double apart = (sync_ns(rigs[0].r.a->size) + sync_ns(rigs[0].r.b->size) + 3 * sync_ns(0)) / us_in_ns;
    rknpu::timeline line(soc());
    for (int i = 0; i < 12; i++)
        line.add(i % 3, as_run(what), 0, i % 3 * apart);
    EXPECT_NEAR(double(change.virtual_ns), (line.settle() - 2 * apart) * us_in_ns, 2);
    for (int core = 0; core < 3; core++) {
        EXPECT_NEAR(double(change.busy_ns_of_core[core]), line.busy_us(core) * us_in_ns, 2);
        EXPECT_GT(line.busy_us(core) * us_in_ns, 4.1 * run_ns(what, 1)); // it did share
    }
}

// All that was prepared is older than the sync of the first.
void prepare(core_rig & first, core_rig & second) {
    for (core_rig * one : {&second, &first})
        EXPECT_EQ(rt().mem_sync(one->r.ctx, one->r.a, abi::sync_to_device), 0);
}

TEST(clock, a_sync_towards_the_device_waits_for_what_has_returned) {
    const abi::matmul_info what = info(i8, 1, 1024, 1024);
    core_rig first(0, what), second(1, what);
    const auto run_each = [&](bool synced) {
        prepare(first, second);
        return change_by([&] {
            std::thread([&] { EXPECT_EQ(first.r.run(), 0); }).join();
            const int code = synced ? rt().mem_sync(second.r.ctx, second.r.a, abi::sync_to_device) : 0;
            EXPECT_EQ(code, 0);
            std::thread([&] { EXPECT_EQ(second.r.run(), 0); }).join();
        });
    };
    EXPECT_NEAR(double(run_each(false).virtual_ns), run_ns(what, 1), 2);
    const double calls = sync_ns(second.r.a->size);
    const rknn_emu_stats change = run_each(true);
    EXPECT_NEAR(double(change.virtual_ns), 2 * run_ns(what, 1) + calls, 2);
    EXPECT_NEAR(double(change.calls_ns), calls, 2);
}

TEST(clock, a_thread_does_one_thing_after_the_other) {
    const abi::matmul_info what = info(i8, 1, 1024, 1024);
    core_rig first(0, what), second(1, what);
    prepare(first, second);
    const rknn_emu_stats change = change_by([&] {
        EXPECT_EQ(first.r.run(), 0);
        EXPECT_EQ(rt().mem_sync(first.r.ctx, first.r.c, abi::sync_from_device), 0);
        EXPECT_EQ(second.r.run(), 0);
    });
    EXPECT_NEAR(double(change.virtual_ns), 2 * run_ns(what, 1) + sync_ns(first.r.c->size), 2);
}

TEST(clock, a_run_that_fails_takes_no_time) {
    const child_result result = run_child("clock_of_failures", {{"RKNN_EMU_FAULTS", "run-error@2"}});
    EXPECT_EQ(result.exit_code, 0) << result.out;
}

EMULATOR_SCENARIO(clock_of_failures) {
    const abi::matmul_info what = info(i8, 1, 512, 512);
    core_rig one(0, what);
    const rknn_emu_stats before = stats();
    const int codes[] = {one.r.run(), one.r.run(), one.r.run()};
    const double taken = double(stats().busy_ns_of_core[0] - before.busy_ns_of_core[0]);
    return codes[1] != 0 && std::abs(taken - 2 * run_ns(what, 1)) < 2 ? 0 : 1;
}

// Three threads with jobs of several sizes and results that depend on each other, in two domains.
EMULATOR_SCENARIO(clock_of_a_program) {
    std::vector<std::unique_ptr<core_rig>> rigs;
    for (int i = 0; i < 6; i++)
        rigs.push_back(std::make_unique<core_rig>(
            i % 3, info(i8, 1 + 5 * i, 1024, 256 * (1 + i), abi::layout_native, abi::layout_native, i / 3)));
    for (int step = 0; step < 8; step++) {
        const size_t first = size_t(step) / 2 % 2 * 3; // the domain changes every second step
        std::vector<std::thread> drivers;
        for (size_t core = 0; core < 3; core++)
            drivers.emplace_back([&, core] {
                rigs[first + core]->r.run();
                rigs[first + core]->r.sync_output();
            });
        for (std::thread & driver : drivers)
            driver.join();
        rigs[first]->r.sync_inputs();
    }
    const rknn_emu_stats s = stats();
    std::printf("%llu %llu %llu %llu %llu %llu\n", (unsigned long long)s.virtual_ns,
                (unsigned long long)s.busy_ns_of_core[0], (unsigned long long)s.busy_ns_of_core[2],
                (unsigned long long)s.switches_ns, (unsigned long long)s.energy_uj, (unsigned long long)s.calls_ns);
    return s.virtual_ns > s.busy_ns_of_core[0] && s.calls_ns > 0 ? 0 : 1;
}

TEST(clock, is_the_same_in_every_run_of_a_program) {
    const child_result first = run_child("clock_of_a_program");
    EXPECT_EQ(first.exit_code, 0) << first.out;
    for (const char * threads : {"1", "2", "7"})
        EXPECT_EQ(run_child("clock_of_a_program", {{"RKNN_EMU_THREADS", threads}}).out, first.out) << threads;
    EXPECT_EQ(run_child("clock_of_a_program", {{"RKNN_EMU_ARITHMETIC", "0"}}).out, first.out);
}

// Prints nanoseconds of one weight-bound and one multiplier-bound run, and microjoules of both.
EMULATOR_SCENARIO(clock_of_two_runs) {
    core_rig weights(0, info(i8, 1, 1024, 4096)), macs(0, info(i8, 128, 1024, 512));
    const rknn_emu_stats before = stats();
    if (weights.r.run() != 0) return 1;
    const rknn_emu_stats between = stats();
    if (macs.r.run() != 0) return 1;
    const rknn_emu_stats after = stats();
    std::printf("%llu %llu %llu\n", (unsigned long long)(between.busy_ns_of_core[0] - before.busy_ns_of_core[0]),
                (unsigned long long)(after.busy_ns_of_core[0] - between.busy_ns_of_core[0]),
                (unsigned long long)(after.energy_uj - before.energy_uj));
    return 0;
}

struct two_runs {
    double weights_ns = 0, macs_ns = 0, energy_uj = 0;
};

two_runs run_twice(const environment & settings) {
    const child_result result = run_child("clock_of_two_runs", settings);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    two_runs r;
    EXPECT_EQ(std::sscanf(result.out.c_str(), "%lf %lf %lf", &r.weights_ns, &r.macs_ns, &r.energy_uj), 3);
    return r;
}

TEST(clock, settings_are_those_of_the_model) {
    const abi::matmul_info weights = info(i8, 1, 1024, 4096), macs = info(i8, 128, 1024, 512);
    rknpu::conditions slow;
    slow.npu_ghz = 0.3;
    slow.stream = slow.stream_all = slow.output = 0.5;
    const two_runs usual = run_twice({});
    const two_runs changed = run_twice({{"RKNN_EMU_NPU_MHZ", "300"}, {"RKNN_EMU_MEMORY_SPEED", "50"}});
    EXPECT_NEAR(usual.weights_ns, run_ns(weights, 1), 2);
    EXPECT_NEAR(usual.macs_ns, run_ns(macs, 1), 2);
    EXPECT_NEAR(changed.weights_ns, run_ns(weights, 1, slow), 2);
    EXPECT_NEAR(changed.macs_ns, run_ns(macs, 1, slow), 2);
    EXPECT_GT(changed.macs_ns, 1.5 * usual.macs_ns);
}

TEST(clock, energy_is_that_of_the_model) {
    const auto cost = [](size_t M, size_t N) { return rknpu::cost_of(soc(), {rknpu::element::i8, M, 1024, N}, 1); };
    const rknpu::run_cost weights = cost(1, 4096), macs = cost(128, 512);
    const double bytes = weights.dram_bytes + macs.dram_bytes;
    const auto expected = [&](const rknpu::power & watts) {
        return rknpu::energy_uj(watts, {weights.us + macs.us, bytes, 0});
    };
    EXPECT_NEAR(run_twice({}).energy_uj, expected(rknpu::power_of(soc())), 2);
    EXPECT_NEAR(run_twice({{"RKNN_EMU_CORE_MW", "3000"}, {"RKNN_EMU_DRAM_MW", "0"}}).energy_uj, expected({3, 0, 0}), 2);
    EXPECT_NEAR(run_twice({{"RKNN_EMU_CORE_MW", "0"}, {"RKNN_EMU_DRAM_MW", "90"}}).energy_uj, expected({0, 0.09, 0}),
                2);
}

EMULATOR_SCENARIO(clock_of_switches) {
    const abi::matmul_info what[] = {info(i8, 1, 512, 512),
                                     info(i8, 1, 512, 512, abi::layout_native, abi::layout_native, 1)};
    core_rig here(0, what[0]), there(0, what[1]);
    if (here.r.run() != 0) return 1;
    const rknn_emu_stats before = stats();
    for (int i = 0; i < 3; i++)
        if (there.r.run() != 0 || here.r.run() != 0) return 1;
    const rknn_emu_stats after = stats();
    const double beside_runs = double(after.virtual_ns - before.virtual_ns) - 6 * run_ns(what[0], 1);
    std::printf("%.0f %llu us", beside_runs / us_in_ns,
                (unsigned long long)((after.switches_ns - before.switches_ns) / us_in_ns));
    return 0;
}

TEST(clock, a_switch_of_the_domain_costs_what_the_setting_says) {
    EXPECT_EQ(run_child("clock_of_switches").out, "600 600 us");
    EXPECT_EQ(run_child("clock_of_switches", {{"RKNN_EMU_SWITCH_US", "7"}}).out, "42 42 us");
}

EMULATOR_SCENARIO(clock_creates) {
    return create_code(info(i8, 1, 32, 32));
}

TEST(clock, wrong_settings_are_told) {
    for (const auto & [name, value] : environment{{"RKNN_EMU_NPU_MHZ", "0"},
                                                  {"RKNN_EMU_MEMORY_SPEED", "0"},
                                                  {"RKNN_EMU_SYNC_MB_S", "0"},
                                                  {"RKNN_EMU_SWITCH_US", "-1"},
                                                  {"RKNN_EMU_CALL_NS", "1.5"},
                                                  {"RKNN_EMU_CORE_MW", "a lot"},
                                                  {"RKNN_EMU_DRAM_MW", "99999999999"}}) {
        const child_result result = run_child("clock_creates", {{name, value}});
        EXPECT_NE(result.exit_code, 0) << name;
        EXPECT_NE(result.err.find(name + "='" + value + "' is not valid"), std::string::npos) << result.err;
    }
}

} // namespace
} // namespace emulator_test
