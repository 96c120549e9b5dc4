// See npu.h.
#include "predict/npu.h"

#include <algorithm>

namespace rknpu {

namespace {

npu_work split(const chip & soc, const npu_run & run, const run_cost & cost, int n_cores) {
    npu_work work;
    work.start_us = cost.fixed_us;
    work.layout_us = cost.convert_us;
    const double rest = cost.us - cost.fixed_us - cost.convert_us;
    // A full K leaves no double buffer: there the two follow each other.
    if (run.K == size_t(soc.k_max))
        work.stream_us = std::min(cost.weight_us, rest);
    else if (cost.weight_us >= std::max(cost.mac_us, cost.output_us))
        work.stream_us = rest;
    work.compute_us = rest - work.stream_us;
    work.core_us = cost.us * n_cores;
    work.dram_bytes = cost.dram_bytes;
    work.steps = 1;
    return work;
}

} // namespace

npu_work & npu_work::operator+=(const npu_work & other) {
    start_us += other.start_us;
    stream_us += other.stream_us;
    compute_us += other.compute_us;
    layout_us += other.layout_us;
    core_us += other.core_us;
    dram_bytes += other.dram_bytes;
    steps += other.steps;
    return *this;
}

npu_work npu_work::times(double n) const {
    return {start_us * n, stream_us * n, compute_us * n, layout_us * n, core_us * n, dram_bytes * n, steps * n};
}

npu_work work_of(const chip & soc, const npu_run & whole, int n_slices, const conditions & where) {
    return split(soc, whole, node_cost(soc, whole, n_slices, where), n_slices);
}

npu_work work_of(const chip & soc, const std::vector<planned_jobs> & jobs) {
    npu_work sum;
    for (const planned_jobs & j : jobs)
        sum += split(soc, j.run, j.cost, j.n_cores).times(double(j.n_rounds));
    return sum;
}

} // namespace rknpu
