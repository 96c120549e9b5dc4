// See expert-stage.h.
#include "matmul/expert-stage.h"

#include "base/check.h"
#include "layout/layout.h"
#include "matmul/rows-on-cpu.h"
#include "matmul/stopwatch.h"
#include "numerics/activation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rknpu {

namespace {

constexpr size_t no_slot = std::numeric_limits<size_t>::max();

// Cells of one row that lie together in `from`, to their places in a job.
void copy_cells(const uint8_t * from, size_t count, size_t row_bytes, uint8_t * to, size_t stride) {
    for (size_t i = 0; i < count; i++, from += row_bytes, to += stride)
        std::memcpy(to, from, row_bytes);
}

} // namespace

void expert_stage::prepare(engine & npu, const packed_weight & weight, const activation_source & source,
                           const expert_ids & ids, int n_threads) {
    const matmul_plan & plan = weight.plan();
    RKNPU_CHECK(plan.segments.size() <= segments_max, "K has too many segments");
    npu_ = &npu;
    weight_ = &weight;
    source_ = source;
    ids_ = ids;
    arena_ = &npu.jobs().arena(weight.domain());
    captured_ = capture_slot(npu, plan, source);
    grouped_.resize(ids.n_pairs());
    place_.resize(ids.n_pairs());
    job_of_.resize(ids.n_pairs());
    scales_.resize(ids.n_pairs());
    single_.resize(source.M());
    starts_.resize(plan.n_matrices + 1);
    // No routing has more jobs than pairs, so none of these grows while the model runs.
    jobs_.reserve(ids.n_pairs());
    slots_.reserve(ids.n_pairs() * plan.segments.size());
    batches_.reserve(ids.n_pairs());
    chunks_.reserve(ids.n_pairs());
    row_bytes_ = row_scratch(plan) * sizeof(float);
    size_t cells = 0;
    for (const k_segment & s : plan.segments)
        cells += element_bytes(plan.type(), s.K_padded) * size_t(plan.traits().digits);
    scratch_stride_ = round_up(row_bytes_ + cells, 64);
    scratch_.resize(size_t(n_threads) * scratch_stride_);
}

bool expert_stage::serves(const packed_weight & weight) const {
    const matmul_plan & a = weight_->plan();
    const matmul_plan & b = weight.plan();
    return reads_alike(*weight_, weight) && a.n_matrices == b.n_matrices && a.N_padded() == b.N_padded();
}

void expert_stage::reset() {
    team_.reset();
    routed_ = visible_ = holds_bad_rows_ = false;
    arrived_ = 0;
    n_filled_ = 0;
    jobs_.clear();
    batches_.clear();
}

void expert_stage::fill(int ith, int nth) {
    team_.guard([&] {
        stopwatch watch(npu_->count().quantize_ns, ith == 0);
        if (ith == 0) {
            route();
            routed_ = true;
        } else {
            team_.wait_until([&] { return routed_.load(); });
        }
        if (captured_) capture_rows(*captured_, source_, ith, nth);
        fill_batch(0, ith, nth);
    });
}

void expert_stage::route() {
    group_pairs();
    cut_jobs();
    take_slots();
}

// A counting sort: pairs of one expert stay in the order of their tokens.
void expert_stage::group_pairs() {
    std::fill(starts_.begin(), starts_.end(), size_t(0));
    const size_t n_experts = weight_->plan().n_matrices;
    for (size_t pair = 0; pair < ids_.n_pairs(); pair++) {
        const int32_t id = ids_.of_pair(pair);
        RKNPU_CHECK(id >= 0 && size_t(id) < n_experts, "the model chose an expert that it does not have");
        starts_[size_t(id) + 1]++;
    }
    for (size_t e = 0; e < n_experts; e++)
        starts_[e + 1] += starts_[e];
    for (size_t pair = 0; pair < ids_.n_pairs(); pair++)
        place_[pair] = uint32_t(starts_[size_t(ids_.of_pair(pair))]++);
    for (size_t pair = 0; pair < ids_.n_pairs(); pair++)
        grouped_[place_[pair]] = uint32_t(pair);
}

// Longest first, which by then are those of the most rows, for all experts are of one shape.
void expert_stage::cut_jobs() {
    size_t begin = 0, n_cut = 0; // rows that chunks_ is the cut of: of a token, one for all experts
    chunks_.clear();
    for (size_t e = 0; e < weight_->plan().n_matrices; e++) {
        const size_t end = starts_[e]; // moved there by the sort
        if (end == begin) continue;
        if (end - begin != n_cut) plan_rows(weight_->plan(), n_cut = end - begin, chunks_);
        for (const row_chunk & c : chunks_)
            jobs_.push_back({e, begin + c.m_begin, c.rows, c.M, no_slot});
        begin = end;
    }
    std::sort(jobs_.begin(), jobs_.end(),
              [](const expert_job & a, const expert_job & b) { return a.M != b.M ? a.M > b.M : a.begin < b.begin; });
    for (size_t i = 0; i < jobs_.size(); i++)
        std::fill_n(job_of_.begin() + ptrdiff_t(jobs_[i].begin), jobs_[i].rows, uint32_t(i));
}

void expert_stage::take_slots() {
    slots_.clear();
    arena_->clear_for_routing();
    std::fill(single_.begin(), single_.end(), no_slot);
    size_t begin = 0;
    for (size_t i = 0; i < jobs_.size(); i++) {
        if (take_slots_of(jobs_[i])) continue;
        RKNPU_CHECK(i > begin, "a job finds no room in empty staging");
        finish_batch(begin, i);
        begin = i;
        arena_->clear();
        std::fill(single_.begin(), single_.end(), no_slot);
        RKNPU_CHECK(take_slots_of(jobs_[i]), "a job finds no room in empty staging");
    }
    if (begin < jobs_.size()) finish_batch(begin, jobs_.size());
}

// Experts that multiply nothing but the same row read the same slot.
bool expert_stage::take_slots_of(expert_job & job) {
    const matmul_plan & plan = weight_->plan();
    const bool single = job.M == size_t(plan.traits().digits);
    size_t * shared = single ? &single_[source_row(grouped_[job.begin])] : nullptr;
    if (shared && *shared != no_slot) {
        job.first_slot = *shared;
        return true;
    }
    job.first_slot = slots_.size();
    // Larger jobs are a multiple of this, so that windows start at few different places.
    constexpr size_t rows_unit = 16;
    const size_t row_bytes = element_bytes(plan.type(), plan.segments.front().K_padded);
    const size_t unit = round_up(rows_unit * row_bytes, block_align);
    const size_t n_joint = joins_segments(plan, job.M) ? plan.segments.size() : 1, rows = n_joint * job.M;
    const size_t pitch = single ? round_up(rows * row_bytes, block_align) : (rows + rows_unit - 1) / rows_unit * unit;
    for (size_t s = 0; s < plan.segments.size(); s += n_joint) {
        const size_t bytes = element_bytes(plan.type(), rows * plan.segments[s].K_padded);
        const staging_slot * slot = arena_->take(bytes, pitch, single);
        if (!slot) {
            slots_.resize(job.first_slot);
            return false;
        }
        slots_.push_back(slot);
    }
    if (shared) *shared = job.first_slot;
    return true;
}

void expert_stage::fill_batch(size_t batch, int ith, int nth) {
    RKNPU_CHECK(size_t(nth) * scratch_stride_ <= scratch_.size(), "more threads than the stage was prepared for");
    uint8_t * scratch = scratch_.data() + size_t(ith) * scratch_stride_;
    const size_t M = source_.M();
    for (size_t row = M * size_t(ith) / size_t(nth); row < M * size_t(ith + 1) / size_t(nth); row++)
        fill_row(row, batch, scratch);
    if (arrived_.fetch_add(1) + 1 == nth) {
        arrived_ = 0;
        sync_to_device(batch);
        held_ = batch;
        n_filled_ = std::max(n_filled_, batch + 1);
    }
}

// Quantizes a row when the first job of the batch that reads it is met, and copies its cells for each.
void expert_stage::fill_row(size_t row, size_t batch, uint8_t * scratch) {
    const matmul_plan & plan = weight_->plan();
    const size_t digits = size_t(plan.traits().digits), row_bytes = digits * cell_bytes;
    uint8_t * cells[segments_max];
    const auto cells_of = [&](size_t s) { return element_bytes(plan.type(), plan.segments[s].K_padded) * digits; };
    bool quantized = false, met_before = batch < n_filled_; // now, or in an earlier batch
    float scale = 0;
    size_t last_slot = no_slot;
    const size_t token = row / source_.n[0];
    for (size_t slot = row % source_.n[0]; slot < ids_.n_used; slot += source_.n[0]) {
        const size_t place = place_[token * ids_.n_used + slot];
        const expert_job & job = jobs_[job_of_[place]];
        met_before = met_before || job_of_[place] < batches_[batch].begin;
        if (job_of_[place] < batches_[batch].begin || job_of_[place] >= batches_[batch].end) continue;
        if (!quantized) {
            source_.read(row, reinterpret_cast<float *>(scratch));
            uint8_t * at = scratch + row_bytes_;
            for (size_t s = 0; s < plan.segments.size(); at += cells_of(s++))
                cells[s] = at;
            scale = quantize_activation_row(plan, weight_->in(), reinterpret_cast<float *>(scratch), cells, row_bytes);
            quantized = true;
        }
        scales_[place] = scale;
        if (std::isnan(scale)) holds_bad_rows_ = true;
        const bool single = job.M == digits;
        if (single && job.first_slot == last_slot) continue; // shared, and filled
        if (single) last_slot = job.first_slot;
        const bool joint = joins_segments(plan, job.M);
        const size_t stride = (joint ? plan.segments.size() * job.M : job.M) * cell_bytes;
        for (size_t s = 0; s < plan.segments.size(); s++) {
            uint8_t * to = this->slot(job, joint ? 0 : s).data + (place - job.begin) * row_bytes;
            if (joint) to += s * job.M * cell_bytes;
            copy_cells(cells[s], cells_of(s) / row_bytes, row_bytes, to, stride);
        }
    }
    if (std::isnan(scale) && !met_before) note_not_finite(*npu_, plan);
}

std::vector<cpu_row> expert_stage::rows_on_cpu() const {
    std::vector<cpu_row> rows;
    for (size_t place = 0; holds_bad_rows_ && place < scales_.size(); place++) {
        const size_t pair = grouped_[place];
        if (std::isnan(scales_[place])) rows.push_back({source_row(pair), pair, size_t(ids_.of_pair(pair))});
    }
    return rows;
}

void expert_stage::sync_to_device(size_t batch) {
    visible_ = !npu_->retired();
    if (!visible_) return;
    const status s = arena_->sync(batches_[batch].blocks);
    if (!s.ok()) npu_->note_sync(s);
    visible_ = s.ok();
}

} // namespace rknpu
