// A list of NPU jobs, run by a team of threads that this code does not own (ggml's).
//
// Jobs of one core run in the order of the list. The first thread hands them out, at most n_output_turns ahead of the
// slowest reader; every thread reads its share of the columns of each output and multiplies it by the scales.
// Invariant: whatever the NPU does, the output is right or NaN where the CPU's would be: a share whose job failed, or
// could not be given to the NPU, is computed by the thread that wanted to read it, with the same integers.
#pragma once

#include "matmul/packed-weight.h"
#include "matmul/team-sync.h"

#include <atomic>
#include <memory>
#include <vector>

namespace rknpu {

// A part of a job's output: rows of floats, columns [first_column, first_column + n_columns) of them.
struct output_part {
    size_t row, column; // of the job, where it begins; whole tiles
    size_t first_column, n_columns;
    const float * column_scales; // of first_column on
    bool accumulate;             // adds to what a part before it has written
};

// One job and what becomes of its output.
struct queued_job {
    job_shape shape;
    int core;
    job_context * context;           // nullptr, as the memories below: the job runs on the CPU
    device_memory * activation;      // where the NPU reads it
    const uint8_t * activation_data; // and the CPU
    device_memory * weight;
    device_memory * output;
    // The columns of the output that threads share out among each other: the same for all jobs of these columns.
    size_t shared_column, n_shared;
    size_t rows;
    const float * row_scales; // of these rows
    const uint32_t * targets; // their places in the output; nullptr: first_row and the following ones
    size_t first_row;
    float * to;                 // of the output: row m at to + m * stride (begin)
    const char * name;          // of the weight, for the log
    size_t first_part, n_parts; // set by the runner
};

class job_runner {
public:
    // Starts an empty list. plan: of any of its weights, whose jobs are alike. stride: floats from one row of an output
    // to the next.
    void begin(engine & npu, const matmul_plan & plan, size_t stride);
    // The turn of the output of the next job of a core.
    size_t next_turn(int core) const { return by_core_[size_t(core)].size() % n_output_turns; }
    void add(const queued_job & job);
    // Of the job that was added last.
    void add_part(const output_part & part);
    // The parts of a job of all segments of a matrix, M rows each, of these columns (matmul_plan::joint_slices), or of
    // a merged weight's, among which the matrix begins at first_column.
    void add_joint_parts(const packed_weight & weight, size_t matrix, const n_slice & slice, size_t M,
                         size_t first_column = 0);
    // The same jobs, of which this list reads other columns: they are the leader's to hand out, whose run has come to
    // its end before this one's begins; no job of others has been handed out in between.
    void follow(const job_runner & leader) { leader_ = &leader; }
    const queued_job & job(size_t index) const { return jobs_[index]; }
    // Whether the NPU can be given all of them.
    bool has_all_memory() const;
    // The list is complete, or is to be run again. Called by one thread before the team starts.
    void reset();

    // Called by thread ith of nth, all of them. visible: the NPU sees the operands; otherwise the CPU multiplies.
    void run(int ith, int nth, bool visible, const team_sync & team);

private:
    struct progress {
        std::atomic<uint64_t> ticket{0}; // 0: not handed out yet
        std::atomic<int> readers{0};     // threads that are done with it
    };
    using dequantizer = void (*)(const uint8_t *, size_t, float, const float *, size_t, bool, float *);
    struct share; // what one thread reads of one job

    void hand_out(size_t needed, int nth, bool visible, const team_sync & team);
    void submit_ready(size_t needed, int nth, bool visible, const team_sync & team);
    void submit(size_t index, bool visible);
    void read(size_t index, int ith, int nth, const team_sync & team);
    void read_share(const share & s, bool on_npu);
    status wait_for(size_t index, const team_sync & team);
    void check_share(const share & s, const uint8_t * cells);
    std::vector<float> share_magnitudes(const share & s) const;
    const uint8_t * share_weight(const share & s) const;
    void compute_share(const share & s, uint8_t * cells) const;
    void dequantize_share(const share & s, const uint8_t * cells) const;

    engine * npu_ = nullptr;
    const job_runner * leader_ = nullptr; // nullptr: this one hands its jobs out
    size_t digits_ = 1;
    dequantizer dequantize_ = nullptr;
    size_t stride_ = 0;
    size_t tile_ = 0; // columns of a weight tile
    size_t atom_ = 0; // accumulators per 16-byte output cell
    std::vector<queued_job> jobs_;
    std::vector<output_part> parts_;
    std::vector<std::vector<uint32_t>> by_core_; // indices of jobs
    size_t n_cores_used_ = 0;                    // of by_core_: a decoded token has one job on one core nearly always
    std::vector<size_t> submitted_;              // of each core; the first thread's own
    std::unique_ptr<progress[]> progress_;       // grows, kept over runs
    size_t progress_capacity_ = 0;
};

} // namespace rknpu
