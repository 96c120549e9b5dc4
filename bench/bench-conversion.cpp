// Speed of converting a weight at load time: F16 rows through ggml's conversion, balancing, rotation, scale search,
// rounding and packing into the native layout, as MB/s of F16 source for each second of one core.
//
//   build-bench/bench/bench-conversion --benchmark_filter=w4a8
#include "kernels/kernels.h"
#include "numerics/balance.h"
#include "numerics/weight-feedback.h"
#include "numerics/weight.h"
#include "plan/chip.h"

#include <benchmark/benchmark.h>
#include <ggml.h>

#include <random>
#include <string>
#include <vector>

using namespace rknpu;

namespace {

constexpr size_t N = 512;

std::vector<ggml_fp16_t> random_source(size_t K) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0f, 0.02f);
    std::vector<float> values(N * K);
    for (auto & v : values)
        v = normal(random);
    std::vector<ggml_fp16_t> halfs(values.size());
    ggml_fp32_to_fp16_row(values.data(), halfs.data(), int64_t(values.size()));
    return halfs;
}

// What packed_weight::load does, without the device's memory.
bool convert(const matmul_plan & plan, const row_source & rows, uint8_t * native, float * scales) {
    constexpr size_t grain = 64;
    basis in;
    in.rotate = make_rotation(plan.K, plan.rotation_block, plan.rotation_seed);
    if (plan.balance) in.balance = balance_columns({{rows, N}}, plan.K, {});
    rounding how;
    error_feedback feedback;
    if (plan.traits().is_integer()) {
        auto made = feedback_of_weights({{rows, N}}, plan.K, in);
        if (!made.ok()) return false;
        feedback = std::move(made.value());
        how.feedback = &feedback;
    }
    std::vector<uint8_t *> segments;
    for (size_t i = 0; i < plan.segments.size(); native += plan.segment_bytes(i++))
        segments.push_back(native);
    std::vector<float> panel(grain * plan.K);
    for (size_t n = 0; n < N; n += grain) {
        for (size_t r = 0; r < grain; r++)
            rows(n + r, panel.data() + r * plan.K);
        if (pack_weight_rows(plan, in, how, n, grain, panel.data(), plan.K, {segments.data(), scales}) != packing::done)
            return false;
    }
    return true;
}

// Argument: K. The balancing pass runs on all cores: CPU time of the process is what counts.
void conversion(benchmark::State & state, format f) {
    const size_t K = size_t(state.range(0));
    const std::vector<ggml_fp16_t> source = random_source(K);
    const auto to_f32 = ggml_get_type_traits(GGML_TYPE_F16)->to_float;
    const row_source rows = [&](size_t n, float * row) { to_f32(source.data() + n * K, row, int64_t(K)); };
    plan_settings wishes;
    wishes.formats = policy(f);
    const matmul_plan plan =
        plan_weight({"blk.0.ffn_down.weight", int64_t(K), int64_t(N)}, *find_chip("rk3588").value(), wishes).value();
    std::vector<uint8_t> native(plan.weight_bytes());
    std::vector<float> scales(plan.segments.size() * N);
    for (auto _ : state) {
        if (!convert(plan, rows, native.data(), scales.data())) state.SkipWithError("the plan's segments overflow");
        benchmark::ClobberMemory();
    }
    state.SetLabel(kernels::isa_name());
    state.counters["MB/s"] =
        benchmark::Counter(double(N * K * sizeof(ggml_fp16_t)) * 1e-6, benchmark::Counter::kIsIterationInvariantRate);
}

#define CONVERSION(name)                                                                                               \
    BENCHMARK_CAPTURE(conversion, name, format::name)                                                                  \
        ->Arg(512)                                                                                                     \
        ->Arg(2560)                                                                                                    \
        ->Arg(4096)                                                                                                    \
        ->Unit(benchmark::kMillisecond)                                                                                \
        ->MeasureProcessCPUTime()
CONVERSION(w16a16);
CONVERSION(w8a16);
CONVERSION(w8a8);
CONVERSION(w4a8);
CONVERSION(w4a4);

} // namespace
