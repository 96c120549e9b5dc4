// See cost.h.
#include "plan/cost.h"

#include <algorithm>

namespace rknpu {

namespace {

size_t ceil_div(size_t a, size_t b) {
    return (a + b - 1) / b;
}

double stream_gb_s(const chip & soc, int n_active, const conditions & where) {
    return std::min(soc.stream_gb_s * where.stream, soc.stream_all_gb_s * where.stream_all / n_active);
}

// Bytes of the group of kernels that the multipliers work on at once: one tile of N, whole K.
size_t kernel_group_bytes(const chip & soc, element type, size_t K) {
    return element_bytes(type, K) * size_t(soc.tile(type).weight_n);
}

// On-chip memory left for A. Normal A takes what two kernel groups leave: int8 128 x 2048 x 2048 needs one pass there
// and two in native layout (0.634 against 0.797 ms, [U]). Native A never takes more than its fixed share.
size_t activation_bytes_max(const chip & soc, const npu_run & run, size_t K) {
    if (run.layout == io_layout::native) return soc.activation_cache_bytes;
    const size_t groups = 2 * kernel_group_bytes(soc, run.type, K);
    const size_t left = soc.cbuf_bytes > groups ? soc.cbuf_bytes - groups : 0;
    return std::clamp(left, soc.activation_cache_bytes, soc.cbuf_bytes - soc.activation_cache_bytes);
}

// Rows of A that share one pass of the weights.
size_t rows_per_pass(const chip & soc, const npu_run & run, size_t K) {
    // Normal layout: int4 is one product per row whatever M, and so is int8 with very many columns ([U] decode 1i) or
    // with K above k_max (marfrit's bench: 512 x 15360 x 4096 at 0.02 TOPS).
    const bool row_by_row = run.type == element::i4 || run.N > soc.normal_n_max || run.K > size_t(soc.k_max);
    if (run.layout == io_layout::normal && row_by_row) return 1;
    return std::clamp<size_t>(activation_bytes_max(soc, run, K) / element_bytes(run.type, K), 1, run.M);
}

size_t weight_passes(const chip & soc, const npu_run & run, size_t K) {
    return ceil_div(run.M, rows_per_pass(soc, run, K));
}

// The multipliers need so many cycles per kernel as if a pass had rows_min rows.
double multiplied_rows(const chip & soc, const npu_run & run, size_t K) {
    const size_t rows = rows_per_pass(soc, run, K), rest = run.M % rows;
    const size_t full = run.M / rows * std::max(rows, soc.rows_min);
    return double(full + (rest ? std::max(rest, soc.rows_min) : 0));
}

// Weights stream while others are multiplied, except where K is largest and A fills its share: then one kernel group
// leaves no room for the next. wtwver's int8 8192 x 8192 shows it: 8535 us at 8 rows, 9839 at 16.
bool double_buffered(const chip & soc, const npu_run & run, size_t K) {
    return K < size_t(soc.k_max) ||
           2 * rows_per_pass(soc, run, K) * element_bytes(run.type, K) <= soc.activation_cache_bytes;
}

// Bytes that a core streams through its buffers for one segment. The other loop order keeps weights and streams A once
// per 256 KiB of them; the runtime takes it where rows outnumber columns and a kernel group leaves room ([U] decode 1m:
// f16 2048 x 2048 x 512 takes it, 2048 x 4096 x 512 does not).
double streamed_bytes(const chip & soc, const npu_run & run, size_t K) {
    const double row_bytes = double(element_bytes(run.type, K));
    const double weights = row_bytes * double(run.N);
    const double keep_activation = double(weight_passes(soc, run, K)) * weights;
    const size_t weight_share = soc.cbuf_bytes - soc.activation_cache_bytes;
    const bool row_by_row = run.layout == io_layout::normal && run.type == element::i4;
    if (row_by_row || run.M <= run.N || 4 * kernel_group_bytes(soc, run.type, K) > weight_share) return keep_activation;
    const double keep_weights = double(ceil_div(size_t(weights), weight_share)) * row_bytes * double(run.M);
    return std::min(keep_activation, std::max(keep_weights, weights));
}

double convert_us(const chip & soc, const npu_run & run, const conditions & where) {
    if (run.layout == io_layout::native || run.type == element::i4 || run.M == 1) return 0;
    const double elements = double(run.M) * double(run.N);
    const bool hot = elements * accumulator_bytes(run.type) <= double(soc.normal_hot_bytes);
    const double hot_ns = where.normal_hot_ns > 0 ? where.normal_hot_ns : soc.normal_hot_ns;
    const double cold_ns = where.normal_ns > 0 ? where.normal_ns : soc.normal_ns;
    return elements * (hot ? hot_ns : cold_ns) * 1e-3;
}

// Adds one segment of K to the cost.
void add_segment(const chip & soc, const npu_run & run, size_t K, int n_active, const conditions & where,
                 run_cost & cost) {
    const double ghz = where.npu_ghz > 0 ? where.npu_ghz : soc.clock_ghz;
    const double c_bytes = double(run.M) * double(run.N) * accumulator_bytes(run.type);
    const double gb_s = run.type == element::i4 ? soc.output_i16_gb_s : soc.output_gb_s;
    const double streamed = streamed_bytes(soc, run, K);
    const double weight = streamed / stream_gb_s(soc, n_active, where) * 1e-3;
    const double macs = multiplied_rows(soc, run, K) * double(K) * double(run.N);
    const double mac = macs / (soc.tile(run.type).macs_per_cycle * ghz) * 1e-3;
    const double output = c_bytes / (gb_s * where.output) * 1e-3;
    cost.weight_us += weight;
    cost.mac_us += mac;
    cost.output_us += output;
    const double longest =
        double_buffered(soc, run, K) ? std::max({weight, mac, output}) : std::max(weight + mac, output);
    const double hidden = weight + mac + output - longest;
    cost.us += longest + std::min(where.serial * hidden, where.serial_max_us);
    cost.dram_bytes += streamed + double(element_bytes(run.type, K)) * double(run.M) + c_bytes;
}

run_cost work_of(const chip & soc, const npu_run & run, int n_active, const conditions & where) {
    run_cost cost;
    for (size_t k = 0; k < run.K; k += size_t(soc.k_max))
        add_segment(soc, run, std::min(run.K - k, size_t(soc.k_max)), n_active, where, cost);
    cost.convert_us = convert_us(soc, run, where);
    cost.us += cost.convert_us;
    return cost;
}

} // namespace

run_cost cost_of(const chip & soc, const npu_run & run, int n_active, const conditions & where) {
    run_cost cost = work_of(soc, run, n_active, where);
    cost.fixed_us = soc.run_us + where.extra_us;
    cost.us += cost.fixed_us;
    return cost;
}

double work_us(const chip & soc, const npu_run & run, int n_active, const conditions & where) {
    return work_of(soc, run, n_active, where).us;
}

run_cost node_cost(const chip & soc, const npu_run & whole, int n_slices, const conditions & where) {
    if (n_slices == 1) return cost_of(soc, whole, 1, where);
    npu_run slice = whole;
    slice.N = ceil_div(whole.N, size_t(n_slices));
    run_cost cost = work_of(soc, slice, n_slices, where);
    cost.fixed_us = soc.node_us + where.extra_us;
    cost.us += cost.fixed_us;
    cost.dram_bytes *= n_slices;
    return cost;
}

double run_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_active) {
    return cost_of(soc, {type, M, K, N}, n_active).us;
}

double node_us(const chip & soc, element type, size_t M, size_t K, size_t N, int n_slices) {
    return node_cost(soc, {type, M, K, N}, n_slices).us;
}

} // namespace rknpu
