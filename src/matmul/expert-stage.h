// The activation of a layer's experts: rows grouped by the expert that the model chose for them, cut into jobs, and
// quantized into the jobs' staging.
//
// A pair is one use of an expert by one token: pair p = token * n_used + slot; it is also a row of the output. Rows of
// one expert make jobs of plan_rows' sizes. Where staging is too small for all of them, they come in batches that use
// the same memory one after the other. Which core runs a job is for the list to say that it is in (npu-experts.h).
// Invariant: what is routed depends on the ids alone, not on threads or time. Each row of the source is quantized once
// in a batch, whatever number of experts read it. One stage is alive at a time, for all use the same staging; nothing
// is allocated for a routing no larger than those before.
#pragma once

#include "matmul/activation-stage.h"
#include "matmul/team-sync.h"

namespace rknpu {

// The experts chosen: of token t, the one in slot s at data + t * stride[1] + s * stride[0].
struct expert_ids {
    const uint8_t * data = nullptr;
    size_t n_used = 0, n_tokens = 0;
    size_t stride[2] = {};

    size_t n_pairs() const { return n_used * n_tokens; }
    int32_t of_pair(size_t pair) const {
        int32_t id;
        std::memcpy(&id, data + pair / n_used * stride[1] + pair % n_used * stride[0], sizeof(id));
        return id;
    }
};

// A job of one expert: the rows at [begin, begin + rows) of the grouped pairs, in a job of M rows.
struct expert_job {
    size_t expert, begin, rows, M;
    size_t first_slot; // in staging, one slot per K segment
};

class expert_stage {
public:
    // weight: a stack. source: rows (i, token), i < n[0], n[1] tokens; slot s reads row s modulo n[0].
    void prepare(engine & npu, const packed_weight & weight, const activation_source & source, const expert_ids & ids,
                 int n_threads);
    // True where a weight's jobs can read this stage too: same ids, activation's format, basis and cuts.
    bool serves(const packed_weight & weight) const;

    // Forgets the last routing; called by one thread before the team starts.
    void reset();
    // Called by thread ith of nth, all of them: routes, and fills the first batch.
    void fill(int ith, int nth);
    // The same for another batch. The caller sees to it that nobody reads the one before, and that nobody goes on
    // before all are done.
    void fill_batch(size_t batch, int ith, int nth);

    size_t n_batches() const { return batches_.size(); }
    size_t held() const { return held_; } // the batch that is in staging
    // The jobs of a batch, longest first.
    const expert_job * begin(size_t batch) const { return jobs_.data() + batches_[batch].begin; }
    const expert_job * end(size_t batch) const { return jobs_.data() + batches_[batch].end; }
    // Of a job of all segments, that of segment 0 holds them, M rows after M rows.
    const staging_slot & slot(const expert_job & job, size_t segment) const {
        return *slots_[job.first_slot + segment];
    }
    const uint32_t * pairs() const { return grouped_.data(); } // all of them, grouped
    const float * scales() const { return scales_.data(); }    // of these
    const activation_source & source() const { return source_; }
    // Those whose scale is NaN, by expert; of the batches that were filled since the last reset.
    std::vector<cpu_row> rows_on_cpu() const;
    size_t n_tokens() const { return ids_.n_tokens; }
    size_t n_pairs() const { return ids_.n_pairs(); }
    bool visible() const { return visible_; }

private:
    struct batch {
        size_t begin, end; // jobs
        unsigned blocks;   // of the arena
    };

    void route();
    void group_pairs();
    void cut_jobs();
    void take_slots();
    bool take_slots_of(expert_job & job);
    void finish_batch(size_t begin, size_t end) { batches_.push_back({begin, end, arena_->blocks_in_use()}); }
    void fill_row(size_t row, size_t batch, uint8_t * scratch);
    void sync_to_device(size_t batch);
    size_t source_row(size_t pair) const {
        return pair / ids_.n_used * source_.n[0] + pair % ids_.n_used % source_.n[0];
    }

    engine * npu_ = nullptr;
    const packed_weight * weight_ = nullptr;
    staging_arena * arena_ = nullptr;
    activation_source source_;
    expert_ids ids_;
    moments * captured_ = nullptr;

    std::vector<uint32_t> grouped_, place_; // pairs by expert; of each pair, its place there
    std::vector<uint32_t> job_of_;          // of each place
    std::vector<size_t> starts_;            // of each expert's pairs
    std::vector<float> scales_;             // of each place
    std::vector<row_chunk> chunks_;
    std::vector<expert_job> jobs_;
    std::vector<const staging_slot *> slots_;
    std::vector<size_t> single_; // of each row of the source, the first slot of a job of nothing else; none: no_slot
    std::vector<batch> batches_;

    std::vector<uint8_t> scratch_; // for each thread: a padded row, and its cells
    size_t row_bytes_ = 0, scratch_stride_ = 0;
    size_t held_ = 0, n_filled_ = 0; // batches that were in staging since the last reset
    team_sync team_;
    std::atomic<bool> routed_{false}, visible_{false}, holds_bad_rows_{false};
    std::atomic<int> arrived_{0};
};

} // namespace rknpu
