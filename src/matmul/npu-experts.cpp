// See npu-experts.h.
#include "matmul/npu-experts.h"

#include "matmul/rows-on-cpu.h"
#include "matmul/stopwatch.h"
#include "plan/merge.h"

#include <algorithm>

namespace rknpu {

void npu_experts::prepare(engine & npu, const packed_weight & weight, expert_stage & stage, float * output,
                          size_t output_stride, const char * name) {
    npu_ = &npu;
    stage_ = &stage;
    output_stride_ = output_stride;
    products_.clear();
    parts_.clear();
    add_product({&weight, output, name});
    busy_us_.resize(size_t(plan().n_cores));
    // A token chooses an expert once, so an expert has at most as many rows as there are tokens.
    const size_t digits = size_t(plan().traits().digits);
    for (size_t M = 0; M < stage.n_tokens() * digits;) {
        M = next_row_size(plan(), M);
        if (M == 0) break;
        for (size_t segment = 0; segment < n_steps(M); segment++) {
            for (size_t core = 0; core < busy_us_.size(); core++)
                parts_of(M, segment, int(core));
        }
    }
}

void npu_experts::add_sibling(const packed_weight & weight, float * output, const char * name) {
    RKNPU_CHECK(are_siblings(plan(), weight.plan()) && stage_->serves(weight), "not a sibling of the first product");
    add_product({&weight, output, name});
}

void npu_experts::add_product(const product & p) {
    products_.push_back(p);
    placed_.reserve(products_.size() * stage_->n_pairs());
}

size_t npu_experts::n_steps(size_t M) const {
    return joins_segments(plan(), M) ? 1 : plan().segments.size();
}

const npu_experts::job_parts & npu_experts::parts_of(size_t M, size_t segment, int core) {
    for (const job_parts & p : parts_) {
        if (p.M == M && p.segment == segment && p.core == core) return p;
    }
    const size_t n_joint = joins_segments(plan(), M) ? plan().segments.size() : 1;
    const int domain = products_.front().weight->domain();
    job_parts p{M, segment, core, {}, nullptr, {}};
    p.shape = {plan().type(), n_joint * M, plan().segments[segment].K_padded, n_joint * plan().N_padded()};
    if (!npu_->retired()) p.context = npu_->jobs().context(p.shape, core, domain);
    for (size_t turn = 0; p.context && turn < n_output_turns; turn++)
        p.outputs[turn] = npu_->jobs().output(p.shape, core, turn, domain);
    parts_.push_back(p);
    return parts_.back();
}

void npu_experts::reset() {
    weights_visible_ = true;
    for (const product & p : products_)
        weights_visible_ = npu_->make_visible(p.weight->pool()) && weights_visible_;
    team_.reset();
    listed_ = 0;
}

// Each job goes to the core that is free first; then all are sorted by their ends, for they are read in that order.
void npu_experts::place_jobs(size_t batch) {
    const size_t n_jobs = size_t(stage_->end(batch) - stage_->begin(batch)) * products_.size();
    const int n_active = int(std::min(n_jobs, busy_us_.size()));
    std::fill(busy_us_.begin(), busy_us_.end(), 0.0);
    placed_.clear();
    size_t M = 0;
    double us = 0;
    for (const expert_job * e = stage_->begin(batch); e != stage_->end(batch); e++) {
        if (e->M != M) us = matrix_us(plan(), M = e->M, n_active);
        for (const product & p : products_) {
            const auto first = std::min_element(busy_us_.begin(), busy_us_.end());
            placed_.push_back({e, &p, int(first - busy_us_.begin()), *first += us});
        }
    }
    std::sort(placed_.begin(), placed_.end(), [](const placed_job & a, const placed_job & b) {
        return a.end_us != b.end_us ? a.end_us < b.end_us : a.core < b.core;
    });
}

void npu_experts::list_jobs(size_t batch) {
    place_jobs(batch);
    npu_->count().sibling_lists += products_.size() > 1;
    runner_.begin(*npu_, plan(), output_stride_);
    for (const placed_job & p : placed_) {
        for (size_t segment = 0; segment < n_steps(p.rows->M); segment++)
            add_job(p, segment);
    }
    runner_.reset();
}

void npu_experts::add_job(const placed_job & p, size_t segment) {
    const expert_job & e = *p.rows;
    const packed_weight & weight = *p.of->weight;
    const bool joint = joins_segments(plan(), e.M);
    const job_parts & parts = parts_of(e.M, segment, p.core);
    const staging_slot & staging = stage_->slot(e, segment);
    queued_job j{};
    j.shape = parts.shape;
    j.core = p.core;
    j.context = parts.context;
    j.output = parts.outputs[runner_.next_turn(p.core)];
    j.activation = staging.window.get();
    j.activation_data = staging.data;
    j.weight = joint ? &weight.joint_piece(0, e.expert) : &weight.piece(segment, 0, e.expert);
    j.n_shared = plan().N;
    j.rows = e.rows;
    j.row_scales = stage_->scales() + e.begin;
    j.targets = stage_->pairs() + e.begin;
    j.to = p.of->output;
    j.name = p.of->name;
    runner_.add(j);
    if (joint)
        runner_.add_joint_parts(weight, e.expert, weight.plan().joint_slices.front(), e.M);
    else
        runner_.add_part({0, 0, 0, plan().N, weight.scales(segment, e.expert), segment > 0});
}

void npu_experts::run(int ith, int nth) {
    team_.guard([&] {
        for (size_t batch = 0; batch < stage_->n_batches(); batch++) {
            if (stage_->held() != batch) {
                team_.barrier(nth); // all have read the batch before
                stopwatch watch(npu_->count().quantize_ns, ith == 0);
                stage_->fill_batch(batch, ith, nth);
                team_.barrier(nth);
            }
            if (ith == 0) {
                list_jobs(batch);
                listed_ = batch + 1;
            } else {
                team_.wait_until([&] { return listed_ > batch; });
            }
            runner_.run(ith, nth, weights_visible_ && stage_->visible(), team_);
        }
        const std::vector<cpu_row> rows = stage_->rows_on_cpu();
        if (rows.empty()) return;
        team_.barrier(nth); // all have written what they have of these rows
        for (const product & p : products_)
            multiply_on_cpu(*p.weight, stage_->source(), rows, p.output, output_stride_, ith, nth);
    });
}

} // namespace rknpu
