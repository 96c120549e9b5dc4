// One matmul on the NPU: output[M, N] = activation[M, K] x weight[N, K]^T, run by a team of threads that this code does
// not own (ggml's).
//
// The work is a list of steps (a chunk of rows times a segment of K), each one job per N slice. The first thread hands
// steps to the cores, at most n_output_turns ahead of the slowest reader; every thread reads its share of each output.
// Invariant: whatever the NPU does, the output is right or NaN where the CPU's would be: a share whose job failed, or
// could not be given to the NPU, is computed by the thread that wanted to read it, with the same integers.
#pragma once

#include "matmul/activation-stage.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace rknpu {

class npu_matmul {
public:
    // Plans the jobs and gets contexts and staging. output: row m at output + m * output_stride floats.
    void prepare(engine & npu, const packed_weight & weight, const activation_stage & stage, float * output,
                 size_t output_stride, const char * name);
    // Forgets the last run; called by one thread before the team starts.
    void reset();
    // For a thread that failed: the others stop waiting for it and throw.
    void give_up() { broken_ = true; }
    // Called by thread ith of nth, all of them, after the stage was filled.
    void run(int ith, int nth);

private:
    void run_steps(int ith, int nth);
    // Waits for a condition that another thread of the team brings about; throws if that thread has failed.
    template <class F> void wait_until(F && condition) const;

    struct job {
        job_shape shape;
        job_context * context; // nullptr: on the CPU
        device_memory * output;
    };
    struct progress {
        std::atomic<uint64_t> ticket{0}; // of one (step, slice); 0: not handed out yet
    };
    struct share; // what one thread reads of one job

    size_t n_slices() const { return weight_->plan().slices.size(); }
    size_t chunk_of(size_t step) const { return step / n_segments_; }
    size_t segment_of(size_t step) const { return step % n_segments_; }
    job_shape shape_of(size_t step, size_t slice) const;

    void submit_ready_steps(size_t needed, int nth);
    void submit(size_t step);
    void read_job(size_t step, size_t slice, int ith, int nth);
    status wait_for(size_t step, size_t slice);
    void check_share(const share & s, const uint8_t * cells);
    std::vector<float> share_magnitudes(const share & s) const;
    const uint8_t * share_weight(const share & s) const;
    void compute_share(const share & s, uint8_t * cells) const;
    void dequantize_share(const share & s, const uint8_t * cells) const;

    engine * npu_ = nullptr;
    const packed_weight * weight_ = nullptr;
    const activation_stage * stage_ = nullptr;
    float * output_ = nullptr;
    size_t output_stride_ = 0;
    std::string name_;
    size_t n_segments_ = 0, n_steps_ = 0;
    size_t tile_ = 0;       // columns of a weight tile
    size_t atom_ = 0;       // accumulators per 16-byte output cell
    std::vector<job> jobs_; // step-major, one per slice
    // Sized by prepare, kept over runs.
    std::unique_ptr<progress[]> progress_;
    std::unique_ptr<std::atomic<int>[]> readers_; // threads that are done with a step
    size_t progress_capacity_ = 0;
    std::atomic<bool> broken_{false}; // a thread has failed: nobody must wait for it
    bool weight_visible_ = false;     // the NPU sees what the weight was loaded with
    size_t submitted_ = 0;            // steps handed out; the first thread's own
};

} // namespace rknpu
