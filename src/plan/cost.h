// The timing model of the NPU: modelled, never measured by us. One implementation for the planner, the emulator's clock
// and the predictor.
//
//   rows per pass  R = floor(activation cache / (K * bytes))          passes P = ceil(M / R)
//   t_weight = P * K * N * bytes / bandwidth      t_mac = M * K * N / (MAC per cycle * clock)
//   t_output = M * N * accumulator bytes / output bandwidth
//   t_run    = fixed + max(t_weight, t_mac, t_output)                  K < k_max
//   t_run    = fixed + t_weight + t_mac            K = k_max and A fills its cache: no room for a double buffer
//   K > k_max: the sum over segments of k_max, one fixed cost
// Passes of few rows, A and C in normal layout, loop orders and what a board changes: in cost.cpp, where it is applied.
// Invariant: pure; every hardware number comes from the chip table (chip.cpp) or from the caller's conditions.
// Source: our fit to published single runs (chip.cpp, [F]); docs/measurements/timing-model.md says how well it holds.
#pragma once

#include "plan/chip.h"

#include <cstddef>

namespace rknpu {

// How A and C of a run lie in memory. B is native: in a run its layout makes no difference ([U], wtwver, marty1885).
enum class io_layout { native, normal };

// One call of the matmul runtime on one core: A[M, K] x B[N, K]^T = C[M, N].
struct npu_run {
    element type = element::i8;
    size_t M = 0, K = 0, N = 0;
    io_layout layout = io_layout::native;
};

// What a board, its clocks and its software change. The default is the board that the chip table describes: clocks
// pinned at their maxima, LPDDR5-4800, one thread per core that waits for work.
struct conditions {
    double npu_ghz = 0;       // clock of the NPU; 0: the chip's maximum
    double stream = 1;        // weight streaming of one core, as a factor of the chip's
    double stream_all = 1;    // the same of all cores together
    double output = 1;        // output writes, as a factor of the chip's
    double extra_us = 0;      // added to the fixed cost of a run or a node: threads made anew, a cold start
    double normal_ns = 0;     // per element of C in normal layout, C larger than the caches; 0: the chip's
    double normal_hot_ns = 0; // the same where C stays in the CPU's caches; 0: the chip's
    // Where clocks rise during a run, streaming, multiplication and output overlap badly at first: this part of what
    // should be hidden is not, but no more than so many microseconds.
    double serial = 0;
    double serial_max_us = 0;
};

// Microseconds of one run and where they go. weight, mac and output overlap (see above), so they do not add up to us.
struct run_cost {
    double fixed_us = 0;
    double weight_us = 0;
    double mac_us = 0;
    double output_us = 0;
    double convert_us = 0; // C from native to normal layout, on one CPU thread inside the run
    double us = 0;
    double dram_bytes = 0; // weights of every pass, activation, output
};

// The cost of a run while n_active cores, this one included, stream at the same time.
run_cost cost_of(const chip & soc, const npu_run & run, int n_active, const conditions & where = {});

// The part of cost_of that grows with the work: all but the fixed cost.
double work_us(const chip & soc, const npu_run & run, int n_active, const conditions & where = {});

// The cost of a matmul cut into n_slices equal N slices, one per core, synchronisation included.
run_cost node_cost(const chip & soc, const npu_run & whole, int n_slices, const conditions & where = {});

// Microseconds of one job [M, K] x [N, K]^T on one core while n_active cores run such jobs at the same time.
double run_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_active);

// Microseconds of a matmul cut into n_slices equal N slices, one per core, synchronisation included.
double node_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_slices);

} // namespace rknpu
