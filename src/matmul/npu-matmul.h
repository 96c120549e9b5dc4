// One matmul on the NPU: output[M, N] = activation[M, K] x weight[N, K]^T, run by ggml's threads.
//
// The work is a list of steps (a chunk of rows times a segment of K, or all of them), each one job per N slice. What
// holds for their outcome is said in job-runner.h.
#pragma once

#include "matmul/activation-stage.h"
#include "matmul/job-runner.h"
#include "matmul/merged-weight.h"

namespace rknpu {

// Whether one job on each core multiplies all rows of the stage with the merged weight.
bool takes_merged(const activation_stage & stage, const merged_weight & merged);

class npu_matmul;

// How a product takes part in the jobs of a merged weight. The first one runs them, the others read their columns.
struct merged_part {
    const merged_weight * merged = nullptr; // nullptr: jobs of its own
    const npu_matmul * first = nullptr;     // nullptr: this is the first
};

class npu_matmul {
public:
    // Plans the jobs and gets contexts and staging. output: row m at output + m * output_stride floats. name: valid
    // until the last run. part: only where takes_merged(stage, *part.merged).
    void prepare(engine & npu, const packed_weight & weight, const activation_stage & stage, float * output,
                 size_t output_stride, const char * name, const merged_part & part = {});
    // Whether the NPU can be given all its jobs.
    bool has_all_memory() const { return runner_.has_all_memory(); }
    // Forgets the last run; called by one thread before the team starts.
    void reset();
    // For a thread that failed: the others stop waiting for it and throw.
    void give_up() { team_.give_up(); }
    // Called by thread ith of nth, all of them, after the stage was filled.
    void run(int ith, int nth);

private:
    void add_step(size_t chunk, size_t segment);
    void add_joint_step(size_t chunk);
    void add_merged_step(const merged_part & part);
    void place(queued_job & job, const staging_slot & staging, size_t chunk);

    engine * npu_ = nullptr;
    const packed_weight * weight_ = nullptr;
    const activation_stage * stage_ = nullptr;
    float * output_ = nullptr;
    size_t output_stride_ = 0;
    const char * name_ = nullptr;
    job_runner runner_;
    team_sync team_;
    bool weight_visible_ = false; // the NPU sees what the weight was loaded with
};

} // namespace rknpu
