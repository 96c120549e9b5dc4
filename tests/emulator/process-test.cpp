// What concerns whole processes: the panic detector, one context in two threads, counters and their file, the poor
// libraries.
#include "support.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <dlfcn.h>
#include <unistd.h>

namespace emulator_test {
namespace {

constexpr int i8 = abi::i8_i8_to_i32;

// Runs jobs until the device is gone or the time is over, with pauses of EMULATOR_TEST_PAUSE_US between them; tells the
// parent through the file EMULATOR_TEST_READY that the first job is done. Exit code: 3 the device was gone, 0 it was
// not.
EMULATOR_SCENARIO(many_jobs) {
    const char * pause = std::getenv("EMULATOR_TEST_PAUSE_US");
    const char * ready = std::getenv("EMULATOR_TEST_READY");
    rig r(info(i8, 64, 1024, 1024));
    r.fill(1);
    r.sync_inputs();
    if (r.bind() != 0) return 1;
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(std::getenv("EMULATOR_TEST_SECONDS")));
    while (std::chrono::steady_clock::now() < end) {
        const int code = r.run();
        if (code == abi::device_unavailable) {
            const bool all_gone =
                create_code(info(i8, 1, 32, 32)) == abi::device_unavailable && !rt().create_mem(r.ctx, 4096) &&
                rt().mem_sync(r.ctx, r.c, abi::sync_from_device) == abi::device_unavailable && stats().panics == 1;
            return all_gone ? 3 : 4;
        }
        if (code != 0) return 1;
        if (ready) std::ofstream(ready) << "ready";
        if (pause) usleep(useconds_t(std::atoi(pause)));
    }
    return 0;
}

void wait_for(const std::string & path) {
    for (int i = 0; i < 3000 && access(path.c_str(), F_OK) != 0; i++)
        usleep(10000);
}

TEST(panic, two_processes_with_jobs_in_flight) {
    const std::string npu = temporary_path("panic-npu");
    const environment both = {{"RKNN_EMU_NPU", npu}, {"EMULATOR_TEST_SECONDS", "60"}};
    child first("many_jobs", both), second("many_jobs", both);
    EXPECT_EQ(first.wait().exit_code, 3);
    EXPECT_EQ(second.wait().exit_code, 3);
    const std::string said = first.wait().err + second.wait().err;
    EXPECT_NE(said.find("rknn-emu: KERNEL PANIC (emulated): processes "), std::string::npos) << said;
    EXPECT_NE(said.find(" ran NPU jobs at the same time\n"), std::string::npos) << said;
    std::ifstream file(npu, std::ios::binary);
    uint32_t panics = 0;
    file.read(reinterpret_cast<char *>(&panics), sizeof(panics));
    EXPECT_GE(panics, 1u);
    // rebooted: a later process works
    EXPECT_EQ(run_child("many_jobs", {{"RKNN_EMU_NPU", npu}, {"EMULATOR_TEST_SECONDS", "0"}}).exit_code, 0);
    unlink(npu.c_str());
}

TEST(panic, not_when_the_other_process_is_idle_or_was_killed) {
    const std::string npu = temporary_path("idle-npu"), ready = temporary_path("ready");
    child idle("many_jobs", {{"RKNN_EMU_NPU", npu},
                             {"EMULATOR_TEST_SECONDS", "60"},
                             {"EMULATOR_TEST_READY", ready},
                             {"EMULATOR_TEST_PAUSE_US", "60000000"}});
    wait_for(ready);
    usleep(100000);
    const environment busy = {{"RKNN_EMU_NPU", npu}, {"EMULATOR_TEST_SECONDS", "1"}};
    EXPECT_EQ(run_child("many_jobs", busy).exit_code, 0);
    kill(idle.pid(), SIGKILL);
    idle.wait();
    unlink(ready.c_str());
    child killed("many_jobs", {{"RKNN_EMU_NPU", npu}, {"EMULATOR_TEST_SECONDS", "60"}, {"EMULATOR_TEST_READY", ready}});
    wait_for(ready);
    kill(killed.pid(), SIGKILL); // in the middle of a job, as good as always
    killed.wait();
    EXPECT_EQ(run_child("many_jobs", busy).exit_code, 0);
    unlink(ready.c_str());
    unlink(npu.c_str());
}

TEST(misuse, one_context_in_two_threads) {
    rig r(info(i8, 256, 2048, 2048));
    r.fill(1);
    r.sync_inputs();
    ASSERT_EQ(r.bind(), 0);
    const rknn_emu_stats before = stats();
    std::atomic<int> refused{0};
    std::atomic<bool> stop{false};
    auto work = [&] {
        while (!stop) {
            const int code = r.run();
            if (code == abi::fail)
                refused++, stop = true;
            else
                EXPECT_EQ(code, 0);
        }
    };
    std::thread one(work), two(work);
    one.join();
    two.join();
    EXPECT_GE(refused.load(), 1);
    EXPECT_EQ(stats().misuses - before.misuses, uint64_t(refused.load()));
    EXPECT_EQ(r.run(), 0); // and the context still works
}

EMULATOR_SCENARIO(counted_jobs) {
    rig r(info(i8, 3, 64, 96));
    r.fill(1);
    if (rt().matmul_set_core_mask(r.ctx, abi::core_2) != 0 || r.bind_run_sync() != 0 || r.run() != 0) return 1;
    return rt().write_stats() == 0 ? 0 : 2;
}

TEST(counters, are_written_as_json_at_exit) {
    const std::string path = temporary_path("stats-%p.json");
    child c("counted_jobs", {{"RKNN_EMU_STATS", path}});
    const int code = c.wait().exit_code;
    ASSERT_EQ(code, 0) << c.wait().err;
    std::string written = path;
    written.replace(written.find("%p"), 2, std::to_string(c.pid()));
    const nlohmann::json stats = nlohmann::json::parse(std::ifstream(written));
    EXPECT_EQ(stats["emulated"], true);
    EXPECT_EQ(stats["runs"], 2);
    EXPECT_EQ(stats["runs_of_core"], (std::vector<int>{0, 0, 2}));
    EXPECT_EQ(stats["macs"], 2 * 3 * 64 * 96);
    EXPECT_EQ(stats["bytes_a"], 2 * 3 * 64);
    EXPECT_EQ(stats["bytes_b"], 2 * 64 * 96);
    EXPECT_EQ(stats["bytes_c"], 2 * 3 * 96 * 4);
    EXPECT_EQ(stats["contexts_distinct"], 1);
    EXPECT_EQ(stats["binds"], 3);
    EXPECT_EQ(stats["bind_conversions"], 0);
    EXPECT_EQ(stats["objects_created"], 4);
    EXPECT_EQ(stats["mems_live"], 0) << "written again at exit, after the rig was gone";
    unlink(written.c_str());
}

TEST(counters, fill_no_more_than_the_caller_has) {
    rknn_emu_stats s{};
    s.runs = 12345;
    s.struct_size = 2 * sizeof(uint64_t);
    EXPECT_EQ(rt().get_stats(&s), 0);
    EXPECT_EQ(s.runs, 12345u);
    s.struct_size = 0;
    EXPECT_EQ(rt().get_stats(&s), abi::param_invalid);
    EXPECT_EQ(rt().get_stats(nullptr), abi::param_invalid);
    EXPECT_EQ(rt().write_stats(), std::getenv("RKNN_EMU_STATS") ? abi::succ : abi::fail);
}

TEST(poor_libraries, lack_what_they_should) {
    void * old = dlopen(RKNN_OLD_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    void * broken = dlopen(RKNN_BROKEN_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    ASSERT_TRUE(old && broken);
    for (const char * absent :
         {"rknn_create_mem2", "rknn_create_mem_from_fd", "rknn_B_normal_layout_to_native_layout"}) {
        EXPECT_EQ(dlsym(old, absent), nullptr) << absent;
        EXPECT_NE(dlsym(broken, absent), nullptr) << absent;
    }
    EXPECT_NE(dlsym(old, "rknn_matmul_run"), nullptr);
    EXPECT_EQ(dlsym(broken, "rknn_matmul_run"), nullptr);
    EXPECT_EQ(dlsym(old, "rknn_emu_version"), nullptr);
    dlclose(old);
    dlclose(broken);
}

} // namespace
} // namespace emulator_test
