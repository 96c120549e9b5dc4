// Speed of preparing weights on this machine, one thread: scale search, error feedback, moments of activations.
//
//   build-bench/bench/bench-numerics --benchmark_filter=scale
#include "kernels/kernels.h"
#include "numerics/error-feedback.h"
#include "numerics/moments.h"
#include "numerics/scale-search.h"

#include <benchmark/benchmark.h>

#include <random>
#include <vector>

using namespace rknpu;

namespace {

std::vector<float> normal_values(size_t count) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> x(count);
    for (auto & v : x)
        v = normal(random);
    return x;
}

void report(benchmark::State & state, const char * name, double per_iteration) {
    state.SetLabel(kernels::isa_name());
    state.counters[name] = benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate);
}

// Arguments: K, limit.
void scale(benchmark::State & state, scale_method method) {
    const size_t K = size_t(state.range(0));
    const std::vector<float> x = normal_values(K);
    for (auto _ : state)
        benchmark::DoNotOptimize(search_scale(method, x.data(), nullptr, K, int(state.range(1))));
    report(state, "weights/s", double(K));
}
BENCHMARK_CAPTURE(scale, absmax, scale_method::absmax)->Args({2560, 7});
BENCHMARK_CAPTURE(scale, mse, scale_method::mse)->ArgsProduct({{512, 2560, 10240}, {7, 127}});
BENCHMARK_CAPTURE(scale, kl, scale_method::kl)->ArgsProduct({{2560}, {7, 127}});

moments correlated(size_t K) {
    moments m(K);
    const size_t M = 256;
    std::vector<float> x = normal_values(M * K);
    for (size_t i = 1; i < x.size(); i++)
        x[i] += 0.9f * x[i - 1];
    m.add(x.data(), M, K);
    return m;
}

void feedback_make(benchmark::State & state) {
    const size_t K = size_t(state.range(0));
    const std::vector<float> H = transform_moments(correlated(K), nullptr, rotation());
    for (auto _ : state)
        benchmark::DoNotOptimize(error_feedback::make(H, K).ok());
    report(state, "MAC/s", double(K) * double(K) * double(K) / 6);
}
BENCHMARK(feedback_make)->Arg(640)->Arg(2560)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

void feedback_quantize(benchmark::State & state) {
    const size_t K = size_t(state.range(0)), N = 64;
    const auto f = error_feedback::make(transform_moments(correlated(K), nullptr, rotation()), K);
    const std::vector<float> weights = normal_values(N * K);
    const std::vector<row_scale> scales(N, row_scale{0.5f, 2.0f});
    std::vector<int8_t> codes(N * K);
    for (auto _ : state) {
        f.value().quantize(weights.data(), N, K, {{0, K, K}}, scales.data(), 7, codes.data());
        benchmark::ClobberMemory();
    }
    report(state, "MAC/s", double(N) * double(K) * double(K) / 2);
    state.counters["weights/s"] = benchmark::Counter(double(N * K), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(feedback_quantize)->Arg(640)->Arg(2560)->Arg(10240)->Unit(benchmark::kMillisecond);

void moments_add(benchmark::State & state) {
    const size_t K = size_t(state.range(0)), M = 512;
    const std::vector<float> x = normal_values(M * K);
    moments m(K);
    for (auto _ : state)
        m.add(x.data(), M, K);
    report(state, "MAC/s", double(M) * double(K) * double(K + 1) / 2);
}
BENCHMARK(moments_add)->Arg(640)->Arg(2560)->Arg(4096)->Unit(benchmark::kMillisecond);

} // namespace
