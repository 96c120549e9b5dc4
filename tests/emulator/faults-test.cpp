// Injected faults: by count, by probability, the same again with the same seed, and the settings that ask for them.
#include "support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <unistd.h>

namespace emulator_test {
namespace {

constexpr int i8 = abi::i8_i8_to_i32;

// One letter per run: . right, E error, T timeout, W wrong.
EMULATOR_SCENARIO(forty_runs) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    r.sync_inputs();
    if (r.bind() != 0) return 1;
    for (int i = 0; i < 40; i++) {
        const int code = r.run();
        r.sync_output();
        std::printf("%s", code == abi::timeout ? "T" : code != 0 ? "E" : r.output() == r.reference() ? "." : "W");
    }
    return 0;
}

std::string runs(const std::string & faults) {
    return run_child("forty_runs", {{"RKNN_EMU_FAULTS", faults}}).out;
}

TEST(faults, by_count) {
    std::string expected(40, '.');
    EXPECT_EQ(runs(""), expected);
    expected[4] = 'E', expected[8] = 'T', expected[11] = 'W';
    EXPECT_EQ(runs("run-error@5,run-timeout@9,wrong@12"), expected);
    std::fill(expected.begin() + 20, expected.end(), 'E');
    EXPECT_EQ(runs("run-error@5,run-timeout@9,wrong@12,run-error@21+"), expected);
}

TEST(faults, by_probability_and_seed) {
    const std::string first = runs("seed=7,run-error=0.3");
    EXPECT_EQ(runs("seed=7,run-error=0.3"), first);
    EXPECT_NE(runs("seed=8,run-error=0.3"), first);
    const auto errors = std::count(first.begin(), first.end(), 'E');
    EXPECT_GE(errors, 4); // 12 expected, sigma 2.9; the sequence is fixed by the seed
    EXPECT_LE(errors, 20);
    EXPECT_EQ(runs("run-error=1"), std::string(40, 'E'));
    EXPECT_EQ(runs("run-error=0"), std::string(40, '.'));
}

// Prints the codes of three creations, then which of three allocations, bindings and syncs succeed.
EMULATOR_SCENARIO(three_of_each) {
    for (int i = 0; i < 3; i++)
        std::printf("%d", -create_code(info(i8, 1, 32, 32)));
    abi::matmul_info wanted = info(i8, 1, 32, 32);
    abi::context ctx = 0;
    abi::matmul_io_attr io{};
    if (rt().matmul_create(&ctx, &wanted, &io) != 0) return 1;
    abi::tensor_mem * mem = nullptr;
    for (int i = 0; i < 3; i++) {
        abi::tensor_mem * next = rt().create_mem(ctx, 4096);
        std::printf("%d", next == nullptr);
        mem = next ? next : mem;
    }
    for (int i = 0; i < 3; i++)
        std::printf("%d", -rt().matmul_set_io_mem(ctx, mem, &io.A));
    for (int i = 0; i < 3; i++)
        std::printf("%d", -rt().mem_sync(ctx, mem, abi::sync_to_device));
    std::printf(" %d", int(stats().faults_fired));
    return 0;
}

TEST(faults, of_every_other_kind) {
    EXPECT_EQ(run_child("three_of_each").out, "000000000000 0");
    EXPECT_EQ(run_child("three_of_each", {{"RKNN_EMU_FAULTS", "create@2,alloc@3,bind@1,sync@2"}}).out,
              "010001100010 4");
}

EMULATOR_SCENARIO(create_one) {
    return -create_code(info(i8, 1, 32, 32));
}

TEST(settings, wrong_values_forbid_contexts) {
    EXPECT_EQ(run_child("create_one").exit_code, 0);
    for (const char * list : {"explode@1", "run-error", "run-error=2", "alloc@0", "alloc@x", "seed=-1", "alloc@"}) {
        const child_result r = run_child("create_one", {{"RKNN_EMU_FAULTS", list}});
        EXPECT_EQ(r.exit_code, 1) << list;
        EXPECT_NE(r.err.find(std::string("cannot understand '") + list), std::string::npos) << r.err;
    }
    for (const environment & bad :
         {environment{{"RKNN_EMU_SOC", "rk3576"}}, environment{{"RKNN_EMU_SHADOW", "yes"}},
          environment{{"RKNN_EMU_I4_OVERFLOW", "clip"}}, environment{{"RKNN_EMU_THREADS", "-1"}}}) {
        const child_result r = run_child("create_one", bad);
        EXPECT_EQ(r.exit_code, 1) << bad.begin()->first;
        EXPECT_NE(r.err.find(bad.begin()->first), std::string::npos) << r.err;
    }
}

TEST(settings, unknown_names_are_told_once) {
    const child_result r = run_child("create_one", {{"RKNN_EMU_SHADWO", "0"}});
    EXPECT_EQ(r.exit_code, 0);
    EXPECT_EQ(r.err, "rknn-emu: unknown setting RKNN_EMU_SHADWO is ignored; docs/emulator.md lists the known ones\n");
}

EMULATOR_SCENARIO(i4_norm_b) {
    rig r(info(abi::i4_i4_to_i16, 5, 160, 192, abi::layout_norm));
    r.fill(1);
    if (r.bind_run_sync() != 0) return 1;
    return r.output() == r.reference() ? 0 : 2;
}

TEST(settings, i4_norm_b_can_be_allowed) {
    EXPECT_EQ(run_child("i4_norm_b", {{"RKNN_EMU_I4_NORM_B", "1"}}).exit_code, 0);
}

EMULATOR_SCENARIO(no_arithmetic) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    if (r.bind_run_sync() != 0) return 1;
    return r.output() == std::vector<double>(3 * 64, 0.0) && stats().macs == 3u * 64 * 64 ? 0 : 2;
}

TEST(settings, without_arithmetic_outputs_are_zero_and_jobs_counted) {
    EXPECT_EQ(run_child("no_arithmetic", {{"RKNN_EMU_ARITHMETIC", "0"}}).exit_code, 0);
}

EMULATOR_SCENARIO(first_runs_computed) {
    rig computed(info(i8, 3, 64, 64)), zero(info(i8, 3, 64, 64));
    for (rig * r : {&computed, &zero}) {
        r->fill(1);
        if (r->bind_run_sync() != 0) return 1;
    }
    if (computed.output() != computed.reference()) return 2;
    return zero.output() == std::vector<double>(3 * 64, 0.0) ? 0 : 3;
}

TEST(settings, without_arithmetic_the_first_runs_can_be_computed) {
    const child_result r =
        run_child("first_runs_computed", {{"RKNN_EMU_ARITHMETIC", "0"}, {"RKNN_EMU_COMPUTED_RUNS", "1"}});
    EXPECT_EQ(r.exit_code, 0) << r.err;
}

EMULATOR_SCENARIO(hang) {
    static rig r(info(i8, 1, 32, 32));
    r.fill(1);
    r.sync_inputs();
    if (r.bind() != 0) return 1;
    std::thread([] { r.run(); }).detach();
    for (int i = 0; i < 500 && stats().faults_fired == 0; i++)
        usleep(10000);
    usleep(50000);
    std::printf("%d", rt().matmul_destroy(r.ctx)); // a context that a job is in
    std::fflush(stdout);
    std::exit(5);
}

TEST(hang, run_does_not_return_and_exit_is_not_blocked) {
    const child_result r = run_child("hang", {{"RKNN_EMU_FAULTS", "hang@1"}});
    EXPECT_EQ(r.exit_code, 5) << r.err;
    EXPECT_EQ(r.out, "-1");
}

} // namespace
} // namespace emulator_test
