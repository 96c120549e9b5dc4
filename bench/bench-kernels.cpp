// Speed of the SIMD kernels on this machine, one thread: multiply-adds or bytes per second and time per element.
//
//   build/bench/bench-kernels --benchmark_filter=row/
#include "row-cases.h"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

using namespace rknpu::kernels;

namespace {

using matmul = void (*)(const void *, const void *, void *, size_t, size_t, size_t, size_t);

void run_matmul(benchmark::State & state, matmul kernel, size_t bits) {
    const size_t M = size_t(state.range(0)), K = size_t(state.range(1)), N = size_t(state.range(2));
    const std::vector<uint8_t> activation(M * K * bits / 8, 1), weight(N * K * bits / 8, 1);
    std::vector<uint8_t> output(M * N * 4);
    for (auto _ : state) {
        kernel(activation.data(), weight.data(), output.data(), M, K, 0, N);
        benchmark::ClobberMemory();
    }
    state.SetLabel(isa_name());
    state.counters["MAC/s"] =
        benchmark::Counter(double(M) * double(K) * double(N), benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark * b) {
    b->Args({1, 2048, 2048})->Args({4, 2048, 2048})->Args({128, 512, 384})->Args({512, 2048, 2048});
}

BENCHMARK_CAPTURE(run_matmul, matmul_i8, matmul_native_i8, 8)->Apply(shapes);
BENCHMARK_CAPTURE(run_matmul, matmul_f16, matmul_native_f16, 16)->Apply(shapes);
BENCHMARK_CAPTURE(run_matmul, matmul_i4, matmul_native_i4, 4)->Apply(shapes);

void run_row(benchmark::State & state, const row_case & c) {
    row_buffers buffers;
    for (auto _ : state) {
        c.run(buffers);
        benchmark::ClobberMemory();
    }
    state.SetLabel(isa_name());
    state.SetBytesProcessed(int64_t(state.iterations() * c.bytes));
    state.counters["per_element"] = benchmark::Counter(
        double(row_length), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

const bool registered = [] {
    for (const row_case & c : row_cases)
        benchmark::RegisterBenchmark((std::string("row/") + c.name).c_str(), run_row, c);
    return true;
}();

} // namespace
