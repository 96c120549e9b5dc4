// The NPU's part of a prediction: the timing model's terms (plan/cost.h), summed over the jobs of a product.
//
// Invariant: start + stream + compute + layout is the modelled time of the jobs, to the last bit of rounding.
#pragma once

#include "plan/cost.h"
#include "plan/plan.h"

namespace rknpu {

struct npu_work {
    double start_us = 0;   // fixed cost of runs
    double stream_us = 0;  // of jobs that wait for weights
    double compute_us = 0; // of jobs that multiply or write longer than they stream
    double layout_us = 0;  // outputs made row-major inside the run
    double core_us = 0;    // summed over cores
    double dram_bytes = 0;
    double steps = 0; // runs one after the other

    double total_us() const { return start_us + stream_us + compute_us + layout_us; }
    npu_work & operator+=(const npu_work & other);
    npu_work times(double n) const;
};

// One matmul cut into slices of N, one per core.
npu_work work_of(const chip & soc, const npu_run & whole, int n_slices, const conditions & where = {});
// All of these jobs.
npu_work work_of(const chip & soc, const std::vector<planned_jobs> & jobs);

} // namespace rknpu
