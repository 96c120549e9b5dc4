// What it costs to hand a job to a driver thread and to learn of its end, beyond the job itself: microseconds of this
// machine, and CPU time of all threads, for waiters that sleep and for waiters that poll (GGML_RKNPU_SPIN_US).
//
//   build-bench/bench/bench-waiting
//
// The job is a thread that sleeps, as the vendor's call does while the NPU works; how long it really slept is taken
// off.
#include "device/core-team.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>
#include <thread>

using namespace rknpu;

namespace {

using clock_type = std::chrono::steady_clock;

// Microseconds of CPU time so far, of the process or of a thread.
double cpu_us(clockid_t of) {
    timespec t;
    clock_gettime(of, &t);
    return double(t.tv_sec) * 1e6 + double(t.tv_nsec) * 1e-3;
}

class no_memory : public device_memory {
public:
    no_memory() : device_memory(nullptr, 0, 0) {}
};

class sleeping_context : public job_context {
public:
    explicit sleeping_context(std::chrono::microseconds run) : run_(run) {}
    status bind(device_memory &, device_memory &, device_memory &) override { return {}; }
    status run() override {
        const auto start = clock_type::now();
        std::this_thread::sleep_for(run_);
        slept += clock_type::now() - start;
        return {};
    }
    clock_type::duration slept{};

private:
    std::chrono::microseconds run_;
};

class idle_device : public device {
public:
    const device_info & info() const override { return info_; }
    result<std::unique_ptr<device_memory>> allocate(size_t, int) override {
        return status(errc::unsupported, "no memory");
    }
    result<std::unique_ptr<device_memory>> view(device_memory &, size_t, size_t) override {
        return status(errc::unsupported, "no memory");
    }
    status sync(device_memory &, sync_direction) override { return {}; }
    void abandon() override {}
    result<std::unique_ptr<job_context>> create_context(const job_shape &, int, int) override {
        return status(errc::unsupported, "no contexts");
    }

private:
    device_info info_;
};

// Arguments: microseconds of a job, of polling. Between two jobs the caller works for 50 us, as ggml does.
void hand_over(benchmark::State & state) {
    idle_device npu;
    no_memory memory;
    sleeping_context context{std::chrono::microseconds(state.range(0))};
    core_team team(npu, 1, std::chrono::seconds(20), std::chrono::microseconds(state.range(1)));
    clock_type::duration waited{};
    const double cpu_before = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
    double own_us = 0;
    for (auto _ : state) {
        const auto begin = clock_type::now();
        const double own_before = cpu_us(CLOCK_THREAD_CPUTIME_ID);
        while (clock_type::now() - begin < std::chrono::microseconds(50)) {
        }
        own_us += cpu_us(CLOCK_THREAD_CPUTIME_ID) - own_before;
        const auto start = clock_type::now();
        benchmark::DoNotOptimize(team.wait(0, team.submit(0, {&context, &memory, &memory, &memory})).ok());
        waited += clock_type::now() - start;
    }
    using micros = std::chrono::duration<double, std::micro>;
    const double n = double(state.iterations());
    state.counters["us beyond the job"] = micros(waited - context.slept).count() / n;
    state.counters["CPU us"] = (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_before - own_us) / n;
}
BENCHMARK(hand_over)
    ->ArgsProduct({{50, 300, 1000, 5000}, {0, 20, 1000}})
    ->ArgNames({"job", "spin"})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

} // namespace
