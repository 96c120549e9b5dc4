// See activation-stage.h.
#include "matmul/activation-stage.h"

#include "base/check.h"
#include "base/log.h"
#include "layout/layout.h"
#include "matmul/rows-on-cpu.h"
#include "matmul/stopwatch.h"
#include "numerics/activation.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace rknpu {

namespace {

// Rows that lie at one distance from each other, over planes, are one plane: many rows at a time are faster.
activation_source merge_planes(activation_source s) {
    for (int i = 1; i >= 0; i--) {
        if (s.n[i] != 1 && s.n[i + 1] != 1 && s.stride[i + 1] != s.n[i] * s.stride[i]) continue;
        if (s.n[i] == 1) s.stride[i] = s.stride[i + 1];
        s.n[i] *= s.n[i + 1];
        s.n[i + 1] = 1;
    }
    return s;
}

} // namespace

moments * capture_slot(engine & npu, const matmul_plan & plan, const activation_source & source) {
    return npu.capture() && !source.to_f32 ? npu.capture()->slot(plan.group, plan.K) : nullptr;
}

void capture_rows(moments & to, const activation_source & source, int ith, int nth) {
    const activation_source s = merge_planes(source);
    for (size_t plane = 0; plane < s.n[1] * s.n[2]; plane++) {
        const auto * rows = reinterpret_cast<const float *>(s.row(plane * s.n[0]));
        to.add(rows, s.n[0], s.stride[0] / sizeof(float), size_t(ith), size_t(nth));
    }
}

size_t row_scratch(const matmul_plan & plan) {
    return round_up(plan.segments.back().k_begin + plan.segments.back().K_padded, 16);
}

void activation_stage::prepare(engine & npu, const packed_weight & weight, const activation_source & source,
                               int n_threads) {
    const matmul_plan & plan = weight.plan();
    RKNPU_CHECK(plan.segments.size() <= segments_max, "K has too many segments");
    npu_ = &npu;
    weight_ = &weight;
    source_ = source;
    n_segments_ = plan.segments.size();
    plan_rows(plan, source.M(), chunks_);
    take_slots(weight.domain());
    captured_ = capture_slot(npu, plan, source);
    scales_.resize(source.M());
    scratch_stride_ = row_scratch(plan);
    scratch_.resize(size_t(n_threads) * scratch_stride_);
}

void activation_stage::take_slots(int domain) {
    const matmul_plan & plan = weight_->plan();
    arena_ = &npu_->jobs().arena(domain);
    arena_->clear();
    staging_.clear();
    plain_.clear();
    plain_bytes_.clear();
    for (const row_chunk & chunk : chunks_) {
        const size_t n_joint = joins_segments(plan, chunk.M) ? n_segments_ : 1;
        for (size_t s = 0; s < n_segments_; s++) {
            if (s % n_joint != 0) { // lies in the slot before
                staging_.push_back(staging_.back());
                continue;
            }
            const size_t bytes = element_bytes(plan.type(), n_joint * chunk.M * plan.segments[s].K_padded);
            const bool single = chunk.M == size_t(plan.traits().digits);
            const staging_slot * slot = arena_->take(bytes, round_up(bytes, block_align), single, true);
            if (!slot) {
                static std::once_flag once;
                std::call_once(once, [] {
                    log_warn(
                        "a batch does not fit into the NPU's staging memory, and its last rows are multiplied by the "
                        "CPU; a smaller -ub keeps all of it on the NPU");
                });
                plain_bytes_.emplace_back(bytes);
                slot = &plain_.emplace_back(staging_slot{nullptr, plain_bytes_.back().data(), false});
            }
            staging_.push_back(slot);
        }
    }
    blocks_ = arena_->blocks_in_use();
}

bool activation_stage::serves(const packed_weight & weight) const {
    const matmul_plan & plan = weight.plan();
    return reads_alike(*weight_, weight) && std::all_of(chunks_.begin(), chunks_.end(), [&](const row_chunk & c) {
               return c.M <= row_size_max(plan) && joins_segments(plan, c.M) == joins_segments(weight_->plan(), c.M);
           });
}

void activation_stage::fill(int ith, int nth) {
    stopwatch watch(npu_->count().quantize_ns, ith == 0);
    RKNPU_CHECK(size_t(nth) * scratch_stride_ <= scratch_.size(), "more threads than the stage was prepared for");
    const size_t M = source_.M();
    float * scratch = scratch_.data() + size_t(ith) * scratch_stride_;
    for (size_t m = M * size_t(ith) / size_t(nth); m < M * size_t(ith + 1) / size_t(nth); m++)
        fill_row(m, scratch);
    if (captured_) capture_rows(*captured_, source_, ith, nth);
    if (arrived_.fetch_add(1) + 1 == nth) sync_to_device();
}

void activation_stage::fill_row(size_t m, float * scratch) {
    source_.read(m, scratch);
    size_t c = 0;
    while (m >= chunks_[c].m_begin + chunks_[c].rows)
        c++;
    const size_t digits = size_t(weight_->plan().traits().digits);
    uint8_t * cells[segments_max];
    const size_t M = chunks_[c].M, row = (m - chunks_[c].m_begin) * digits;
    const bool joint = is_joint(c);
    for (size_t s = 0; s < n_segments_; s++)
        cells[s] = staging(c, s).data + (joint ? s * M + row : row) * cell_bytes;
    const size_t job_rows = joint ? n_segments_ * M : M;
    scales_[m] = quantize_activation_row(weight_->plan(), weight_->in(), scratch, cells, job_rows * cell_bytes);
    if (!std::isnan(scales_[m])) return;
    n_not_finite_++;
    note_not_finite(*npu_, weight_->plan());
}

std::vector<cpu_row> activation_stage::rows_on_cpu() const {
    std::vector<cpu_row> rows;
    for (size_t m = 0; n_not_finite_ > 0 && m < scales_.size(); m++) {
        if (std::isnan(scales_[m])) rows.push_back({m, m, 0});
    }
    return rows;
}

void activation_stage::sync_to_device() {
    bool visible = !npu_->retired();
    if (visible) {
        const status s = arena_->sync(blocks_);
        if (!s.ok()) npu_->note_sync(s);
        visible = s.ok();
    }
    visible_ = visible;
}

} // namespace rknpu
