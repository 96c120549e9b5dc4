// Speed of the SIMD kernels on this machine, one thread: multiply-adds or bytes per second.
//
//   build/bench/bench-kernels --benchmark_filter=matmul
#include "kernels/kernels.h"

#include <benchmark/benchmark.h>

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

constexpr size_t row = 4096;

void run_rows(benchmark::State & state, void (*body)(std::vector<float> & x, std::vector<uint8_t> & cells)) {
    std::vector<float> x(row, 0.5f);
    std::vector<uint8_t> cells(row * 4);
    for (auto _ : state) {
        body(x, cells);
        benchmark::ClobberMemory();
    }
    state.SetLabel(isa_name());
    state.SetBytesProcessed(int64_t(state.iterations() * row * sizeof(float)));
}

void bench_absmax(std::vector<float> & x, std::vector<uint8_t> &) {
    benchmark::DoNotOptimize(absmax(x.data(), row));
}
void bench_hadamard(std::vector<float> & x, std::vector<uint8_t> & cells) {
    hadamard_rows(x.data(), cells.data(), row, row);
}
void bench_i8(std::vector<float> & x, std::vector<uint8_t> & cells) {
    quantize_f32_i8(x.data(), 100, row, cells.data(), 16);
}
void bench_f16(std::vector<float> & x, std::vector<uint8_t> & cells) {
    quantize_f32_f16(x.data(), 1, row, cells.data(), 16);
}
void bench_dequantize(std::vector<float> & x, std::vector<uint8_t> & cells) {
    static const std::vector<float> scales(row, 1.0f);
    dequantize_i32_f32(cells.data(), 16, 0.5f, scales.data(), row, false, x.data());
}

BENCHMARK_CAPTURE(run_rows, absmax, bench_absmax);
BENCHMARK_CAPTURE(run_rows, hadamard, bench_hadamard);
BENCHMARK_CAPTURE(run_rows, quantize_i8, bench_i8);
BENCHMARK_CAPTURE(run_rows, quantize_f16, bench_f16);
BENCHMARK_CAPTURE(run_rows, dequantize_i32, bench_dequantize);

} // namespace
