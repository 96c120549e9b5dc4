// See host.h. Sources, by letter:
//   [U] unimatrix099/rk-llama.cpp docs (Orange Pi 5 Ultra, LPDDR5-4800, A76 pinned at 2.35 GHz)
//   [M] Mojo24x7/rk-llama.cpp BENCHMARKS.md (ROCK 5B+, LPDDR5-4800)      [P] pty819/rk-llama.cpp docs/opi5
//   [G] gregordinary/rockchip-npu-notes (RK1)     [I] invisiofficial/rk-llama.cpp README, its columns for the CPU
//   [H] docs/measurements/host-cost.md, [K] docs/measurements/kernels.md of this project
//   [A] an assumption of ours that no measurement supports yet
#include "predict/host.h"

#include <algorithm>
#include <cmath>

namespace rknpu {

namespace {

constexpr host_costs costs = {
    2.35, // [U]
    4,    // [U][M] four big cores; the small ones slow a team down
    22.9, // [M] reading, 4 A76: 22.94 and 22.80
    19,   // [U] Q4_0, one row, per shape 18.5 to 19.5
    13.4, // [G] memcpy of one A76
    53,   // [I] Q8_0 at batches, 4 A76: 51 to 57 for Gemma 3 1B, Ministral 3 3B and Qwen3.5 9B, attention taken off
    43,   // [I] F16 likewise: Granite 4.0 350M
    112,  // [I][U] Q4_0, repacked: 129 for Gemma 3 1B, 96 for Gemma 4 E4B
    // [H] 9.5, 40, 22.5 and 1.3 instructions per element, counted for the bundled dense model; scalar ones two a cycle,
    // vectors (the last) twice as many as on x86 [A]. SiLU is vectorized: about 20 instructions for 4 elements.
    4.75, 20, 5, 11.2, 1.3,
    1.5, // [A] gated delta rule: four passes over a state in the level 2 cache, four floats in 1.5 cycles each
    2,   // [A] a spinning barrier of four threads
    62,  // [H] 145 000 instructions per token outside of operators and plugin, one a cycle [A]
    100, // [U] a pool woken by futex costs so much a node; [P] measured 25 for the dispatch alone
    0.7, // [H] 1700 instructions per job, one a cycle [A]
};

// Cycles per element on one A76, by llvm-mca [K]; data in the level 1 cache.
double hadamard_cycles(size_t block) {
    if (block <= 1) return 0.25; // multiplying by the factors of the columns
    return block >= 4096 ? 2.52 : block >= 2048 ? 2.39 : block >= 1024 ? 2.02 : 1.89;
}
double quantize_cycles(element type, int digits) {
    if (digits == 2) return type == element::i8 ? 0.84 : 0.83;
    return type == element::f16 ? 0.63 : type == element::i8 ? 0.66 : 0.72;
}
// The digits of a row are put together in one go; what accumulating adds to that is taken from the plain kernels.
double dequantize_cycles(element type, int digits, bool accumulating) {
    switch (type) {
    case element::f16:
        return accumulating ? 0.63 : 0.50;
    case element::i8:
        return (digits == 2 ? 1.38 : 0.72) + (accumulating ? 0.09 : 0);
    default:
        return (digits == 2 ? 1.09 : 0.63) + (accumulating ? 0.12 : 0);
    }
}
constexpr double absmax_cycles = 0.25;

// Work that rows share among the threads, or the traffic of memory if that takes longer. Up to cached_bytes it stays in
// the caches: the chip's level 3 has 3 MiB (RK3588 datasheet).
constexpr double cached_bytes = 2 << 20;
double work_us(const host_costs & host, double cycles, double bytes, double threads) {
    const double compute = cycles / (host.clock_ghz * 1e3) / threads;
    return bytes <= cached_bytes ? compute : std::max(compute, bytes / host.read_gb_s * 1e-3);
}
double threads_for(const host_costs & host, size_t rows) {
    return std::min(host.threads, double(rows));
}

} // namespace

host_costs costs_of(const board & b) {
    host_costs host = costs;
    const double memory = memory_factor(b), clock = b.cpu_ghz / costs.clock_ghz;
    host.clock_ghz = b.cpu_ghz;
    host.read_gb_s *= memory;
    host.copy_gb_s *= memory;
    for (double * rate : {&host.q4_read_gb_s, &host.q8_gmac_s, &host.f16_gmac_s, &host.q4_gmac_s})
        *rate *= clock;
    for (double * us : {&host.node_us, &host.token_us, &host.wake_us, &host.job_us})
        *us /= clock;
    return host;
}

double quantize_us(const host_costs & host, const matmul_plan & plan, size_t rows) {
    const double elements = double(rows) * double(plan.K);
    double cycles = quantize_cycles(plan.type(), plan.traits().digits);
    if (plan.traits().is_integer()) cycles += absmax_cycles + hadamard_cycles(plan.rotation_block);
    // Floats in, codes out.
    const double bytes = elements * (4 + plan.traits().digits * element_bits(plan.type()) / 8.0);
    const double us = work_us(host, elements * cycles, bytes, threads_for(host, rows));
    const double code_bytes = elements * plan.traits().digits * element_bits(plan.type()) / 8.0;
    return us + plan.soc->call_us + code_bytes / plan.soc->sync_gb_s * 1e-3;
}

double dequantize_us(const host_costs & host, const matmul_plan & plan, size_t rows) {
    const double elements = double(rows) * double(plan.N), more = double(plan.segments.size()) - 1;
    const int digits = plan.traits().digits;
    const double cycles =
        dequantize_cycles(plan.type(), digits, false) + more * dequantize_cycles(plan.type(), digits, true);
    const double accumulators = (1 + more) * digits * accumulator_bytes(plan.type());
    // Each segment reads accumulators; all but the first read what is there, too.
    const double bytes = elements * (accumulators + 4 + more * 8);
    const double sync = elements * accumulators / plan.soc->sync_gb_s * 1e-3;
    return work_us(host, elements * cycles, bytes, host.threads) + sync / double(plan.slices.size());
}

double cpu_matmul_us(const host_costs & host, const model_tensor & weight, size_t rows, size_t n_used) {
    const bool is_stack = weight.facts.n_matrices > 1;
    const double active = is_stack ? std::min(double(weight.facts.n_matrices), double(rows * n_used)) : 1;
    const double bytes = double(weight.bytes) * active / double(weight.facts.n_matrices);
    const double macs = double(weight.facts.K) * double(weight.facts.N) * double(rows * (is_stack ? n_used : 1));
    const bool is_q4 = weight.source.rfind("q4", 0) == 0;
    const double gmac_s = weight.facts.source_bits >= 16 ? host.f16_gmac_s : is_q4 ? host.q4_gmac_s : host.q8_gmac_s;
    const double gb_s = is_q4 ? std::min(host.q4_read_gb_s, host.read_gb_s) : host.read_gb_s;
    return std::max(bytes / gb_s, macs / gmac_s) * 1e-3 + host.node_us;
}

double attention_us(const host_costs & host, const model_layer & layer, size_t rows, size_t cells,
                    attention_kind kind) {
    if (layer.q_width == 0) return 0;
    const double window = layer.window ? double(layer.window) : double(cells), m = double(rows);
    const double read = std::min(double(cells), window + m - 1);
    const double seen = kind == attention_kind::flash ? std::min(double(cells) - (m - 1) / 2, window) : read;
    const double bytes = read * double(layer.k_width + layer.v_width) * 2;
    const double macs = 2.0 * m * seen * double(layer.q_width);
    return std::max(bytes / host.read_gb_s, macs / host.f16_gmac_s) * 1e-3;
}

double operators_us(const host_costs & host, const model_layer & layer, int64_t n_embd, size_t rows, size_t n_used) {
    const double experts = layer.expert_width ? double(n_used) : 0;
    const double rope = double(layer.q_width + layer.k_width), norms = double(layer.norm_width);
    const double gates = double(layer.ffn_width) + experts * double(layer.expert_width);
    const double adds = (2 + experts) * double(n_embd);
    const double cycles = norms * host.norm_cycles + rope * host.rope_cycles + adds * host.add_cycles +
                          gates * (layer.gelu ? host.gelu_cycles : host.silu_cycles);
    // Two reads and a write of floats for each element.
    const double bytes = (norms + rope + gates + adds) * 12, m = double(rows), threads = threads_for(host, rows);
    double us = work_us(host, m * cycles, m * bytes, threads);
    // Norms, two ropes, two writes of the cache, attention and its output, a gate, two residuals.
    us += host.node_us * (double(layer.n_norms) + 10 + (layer.expert_width ? 12 : 0));
    // Heads share the threads, so a single row has them all. One token reads and writes the state once.
    if (layer.state) {
        const double state = double(layer.state);
        us += work_us(host, m * state * host.state_cycles, state * 8, host.threads);
    }
    return us;
}

} // namespace rknpu
