// The quantized activation of one or several matmuls: rows in native cells, one scale per token.
//
// Invariant: one stage is alive at a time, for all stages use the same staging memory; it is prepared before any thread
// works on it, then filled by all threads of a team, the last of which makes it
// visible to the NPU; consumers start after the team's barrier. Preparing again reuses every buffer that is large
// enough.
#pragma once

#include "matmul/packed-weight.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace rknpu {

// Where the elements of one row, or of one digit of it, lie together in every layout.
constexpr size_t cell_bytes = 16;

// Where the activation's rows come from: M = n[0] * n[1] * n[2] rows of K values, row (i, j, l) at
// data + i * stride[0] + j * stride[1] + l * stride[2].
struct activation_source {
    const uint8_t * data = nullptr;
    size_t K = 0;
    size_t n[3] = {1, 1, 1};
    size_t stride[3] = {};
    // Converts K values of a row to f32; nullptr: they are f32 already.
    void (*to_f32)(const void * row, float * out, int64_t K) = nullptr;

    size_t M() const { return n[0] * n[1] * n[2]; }
    // Row m as f32.
    void read(size_t m, float * out) const {
        if (to_f32)
            to_f32(row(m), out, int64_t(K));
        else
            std::memcpy(out, row(m), K * sizeof(float));
    }
    const uint8_t * row(size_t m) const {
        return data + m % n[0] * stride[0] + m / n[0] % n[1] * stride[1] + m / (n[0] * n[1]) * stride[2];
    }
};

// A row of an activation that the CPU multiplies (rows-on-cpu.h): its place in the source and in the output.
struct cpu_row {
    size_t source, target;
    size_t matrix; // of a stack
};

// Where the rows of a source are to be collected, or nullptr.
moments * capture_slot(engine & npu, const matmul_plan & plan, const activation_source & source);
// Adds them, with the help of all nth threads.
void capture_rows(moments & to, const activation_source & source, int ith, int nth);

// Floats that a thread needs to quantize a row.
size_t row_scratch(const matmul_plan & plan);

class activation_stage {
public:
    // Plans the rows for a weight and gets the staging. n_threads: the largest team that will fill it.
    void prepare(engine & npu, const packed_weight & weight, const activation_source & source, int n_threads);
    // True where a weight's jobs can read this stage too: same K, format, basis and segments, and room for its outputs.
    bool serves(const packed_weight & weight) const;

    // Forgets the last fill; called by one thread before the team starts.
    void reset() {
        n_not_finite_ = 0;
        arrived_ = 0;
        visible_ = false;
    }
    // Called by thread ith of nth, all of them.
    void fill(int ith, int nth);

    const std::vector<row_chunk> & chunks() const { return chunks_; }
    // All segments of these rows lie in the staging of segment 0, M rows after M rows, for jobs that take them at once.
    bool is_joint(size_t chunk) const { return joins_segments(weight_->plan(), chunks_[chunk].M); }
    const staging_slot & staging(size_t chunk, size_t segment) const {
        return *staging_[chunk * n_segments_ + segment];
    }
    const float * scales() const { return scales_.data(); } // one per row
    const activation_source & source() const { return source_; }
    bool all_finite() const { return n_not_finite_ == 0; }
    // Those whose scale is NaN.
    std::vector<cpu_row> rows_on_cpu() const;
    // False if the NPU may not see what was filled last: the jobs must run on the CPU.
    bool visible() const { return visible_; }

private:
    void take_slots(int domain);
    void fill_row(size_t m, float * scratch);
    void sync_to_device();

    engine * npu_ = nullptr;
    const packed_weight * weight_ = nullptr;
    activation_source source_;
    size_t n_segments_ = 0;
    std::vector<row_chunk> chunks_;
    staging_arena * arena_ = nullptr;
    unsigned blocks_ = 0;                       // of the arena
    std::vector<const staging_slot *> staging_; // chunk-major
    std::deque<staging_slot> plain_;            // of those, the ones that found no room in the arena: for the CPU
    std::deque<std::vector<uint8_t>> plain_bytes_;
    std::vector<float> scales_;    // one per token
    moments * captured_ = nullptr; // where the rows are collected, if they are
    std::vector<float> scratch_;   // one padded row per thread
    size_t scratch_stride_ = 0;
    std::atomic<size_t> n_not_finite_{0};
    std::atomic<int> arrived_{0};
    std::atomic<bool> visible_{false};
};

} // namespace rknpu
