// See cost.h.
#include "plan/cost.h"

#include <algorithm>

namespace rknpu {

namespace {

// Everything but the fixed cost of a run.
double work_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_active) {
    const double row_bytes = double(element_bytes(type, K));
    const size_t rows_per_pass = std::max<size_t>(1, size_t(double(soc.activation_cache_bytes) / row_bytes));
    const size_t passes = (M + rows_per_pass - 1) / rows_per_pass;
    const double gb_s = std::min(soc.stream_gb_s, soc.stream_all_gb_s / n_active);
    const double weight_us = double(passes) * row_bytes * double(N) / gb_s * 1e-3;
    const double mac_us = double(M) * double(K) * double(N) / (soc.tile(type).macs_per_cycle * soc.clock_ghz) * 1e-3;
    const double output_us = double(M) * double(N) * accumulator_bytes(type) / soc.output_gb_s * 1e-3;
    if (K >= size_t(soc.k_max)) return weight_us + mac_us;
    return std::max({weight_us, mac_us, output_us});
}

} // namespace

double run_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_active) {
    return soc.run_us + work_us(soc, type, M, K, N, n_active);
}

double node_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_slices) {
    if (n_slices == 1) return run_us(soc, type, M, K, N, 1);
    const size_t slice = (N + size_t(n_slices) - 1) / size_t(n_slices);
    return soc.node_us + work_us(soc, type, M, K, slice, n_slices);
}

} // namespace rknpu
