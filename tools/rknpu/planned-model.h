// A model as the planner sees it: each tensor with its plan, or the refusal, and the IOMMU domain it would lie in.
//
// Invariant: opens no NPU; the plugin plans with the same functions.
#pragma once

#include "gguf-model.h"
#include "matmul/packed-weight.h"
#include "plan/merge.h"
#include "plan/placement.h"

#include <map>
#include <memory>

namespace rknpu {

// Weights that are multiplied together: merged at few rows, or stacks whose jobs are one list.
struct planned_company {
    merged_plan plan; // of stacks: none
    std::vector<const model_tensor *> members;
};

struct planned_tensor {
    const model_tensor * tensor;
    result<matmul_plan> plan;
    int domain = no_domain;
    std::shared_ptr<const planned_company> company = nullptr; // nullptr: none

    bool on_npu() const { return domain != no_domain; }
};

// The jobs in which a tensor on the NPU is multiplied by M rows.
struct tensor_jobs {
    std::vector<planned_jobs> jobs;
    double share = 1;     // of their time that is this tensor's
    bool is_first = true; // of those that share them

    double us() const; // of this tensor, modelled
};
// n_used: matrices of a stack that multiply each row.
tensor_jobs jobs_of(const planned_tensor & p, size_t M, size_t n_used);

// The multiplied tensors of the model, which must outlive the answer, in its order, on a machine whose memory is no
// limit. limits: most bytes of weights.
std::vector<planned_tensor> plan_tensors(const gguf_model & model, const chip & soc, const plan_settings & wishes,
                                         const weight_limits & limits);

struct model_bytes {
    size_t n_npu = 0, n_cpu = 0;                         // tensors
    uint64_t packed = 0, npu_source = 0, cpu_source = 0; // the sources' bytes are those in the file
    std::map<int, uint64_t> domains;                     // of NPU memory
    uint64_t npu_memory() const;
    size_t n_switches() const { return domains.size() > 1 ? domains.size() : 0; } // of domains, per token
};
model_bytes bytes_of(const gguf_model & model, const std::vector<planned_tensor> & planned);

} // namespace rknpu
