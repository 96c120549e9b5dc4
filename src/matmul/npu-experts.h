// The experts of a layer on the NPU: output row p = activation row of pair p x weight of the expert chosen for it
// (expert-stage.h), run by ggml's threads. Siblings (plan/merge.h) have an output each and one list of jobs.
//
// A job is one expert with rows that chose it, or a segment of its K; weights are never copied, and an expert without
// rows costs nothing. Jobs go to the core that is free first by the timing model, longest first. What holds for the
// outcome of a job is said in job-runner.h.
#pragma once

#include "matmul/expert-stage.h"
#include "matmul/job-runner.h"

namespace rknpu {

class npu_experts {
public:
    // Gets the contexts and staging that are likely to be needed; the jobs are known when the stage has been filled.
    // output: row p at output + p * output_stride floats. name: valid until the last run.
    void prepare(engine & npu, const packed_weight & weight, expert_stage & stage, float * output, size_t output_stride,
                 const char * name);
    // Adds the jobs of a sibling, which the stage serves too; its rows are as far apart.
    void add_sibling(const packed_weight & weight, float * output, const char * name);
    // Forgets the last run; called by one thread before the team starts.
    void reset();
    // For a thread that failed: the others stop waiting for it and throw.
    void give_up() { team_.give_up(); }
    // Called by thread ith of nth, all of them, after the stage was filled.
    void run(int ith, int nth);

private:
    struct product {
        const packed_weight * weight;
        float * output;
        const char * name;
    };
    // An expert's job with the weight of a product.
    struct placed_job {
        const expert_job * rows;
        const product * of;
        int core;
        double end_us; // by the timing model
    };
    // What jobs of one size and segment (0 where they take all) need on one core: found once.
    struct job_parts {
        size_t M, segment;
        int core;
        job_shape shape;
        job_context * context;
        device_memory * outputs[n_output_turns];
    };

    void add_product(const product & p);
    const job_parts & parts_of(size_t M, size_t segment, int core);
    const matmul_plan & plan() const { return products_.front().weight->plan(); } // the others' jobs are equal
    size_t n_steps(size_t M) const;                                               // jobs of an expert with M rows
    void place_jobs(size_t batch);
    void list_jobs(size_t batch);
    void add_job(const placed_job & p, size_t segment);

    engine * npu_ = nullptr;
    std::vector<product> products_;
    expert_stage * stage_ = nullptr;
    size_t output_stride_ = 0;
    std::vector<job_parts> parts_;
    std::vector<double> busy_us_; // of each core that jobs are spread over
    std::vector<placed_job> placed_;
    job_runner runner_;
    team_sync team_;
    std::atomic<size_t> listed_{0}; // batches so far
    bool weights_visible_ = false;  // the NPU sees what they were loaded with
};

} // namespace rknpu
