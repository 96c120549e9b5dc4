// The timing model of one NPU core: modelled, never measured by us.
//
//   rows per pass  R = floor(activation cache / (K * bytes))          passes P = ceil(M / R)
//   t_weight = P * K * N * bytes / bandwidth      t_mac = M * K * N / (MAC per cycle * clock)
//   t_output = M * N * accumulator bytes / output bandwidth
//   t_run    = fixed + max(t_weight, t_mac, t_output)                  K < k_max
//   t_run    = fixed + t_weight + t_mac                                K = k_max: no room for a double buffer
// Source: our fit to published single runs of two boards (chip.cpp, [F]).
#pragma once

#include "plan/chip.h"

#include <cstddef>

namespace rknpu {

// Microseconds of one job [M, K] x [N, K]^T on one core while n_active cores run such jobs at the same time.
double run_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_active);

// Microseconds of a matmul cut into n_slices equal N slices, one per core, synchronisation included.
double node_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_slices);

} // namespace rknpu
