// See npu-experts.h.
#include "matmul/npu-experts.h"

#include "matmul/rows-on-cpu.h"
#include "matmul/stopwatch.h"

namespace rknpu {

void npu_experts::prepare(engine & npu, const packed_weight & weight, expert_stage & stage, float * output,
                          size_t output_stride, const char * name) {
    npu_ = &npu;
    weight_ = &weight;
    stage_ = &stage;
    output_ = output;
    output_stride_ = output_stride;
    name_ = name;
    parts_.clear();
    // A token chooses an expert once, so an expert has at most as many rows as there are tokens.
    const size_t digits = size_t(weight.plan().traits().digits);
    for (size_t M = 0; M < stage.n_tokens() * digits;) {
        M = next_row_size(weight.plan(), M);
        if (M == 0) break;
        for (size_t segment = 0; segment < n_steps(M); segment++) {
            for (int core = 0; core < stage.n_cores(); core++)
                parts_of(M, segment, core);
        }
    }
}

size_t npu_experts::n_steps(size_t M) const {
    return joins_segments(weight_->plan(), M) ? 1 : weight_->plan().segments.size();
}

const npu_experts::job_parts & npu_experts::parts_of(size_t M, size_t segment, int core) {
    for (const job_parts & p : parts_) {
        if (p.M == M && p.segment == segment && p.core == core) return p;
    }
    const matmul_plan & plan = weight_->plan();
    const size_t n_joint = joins_segments(plan, M) ? plan.segments.size() : 1;
    job_parts p{M, segment, core, {}, nullptr, {}};
    p.shape = {plan.type(), n_joint * M, plan.segments[segment].K_padded, n_joint * plan.N_padded()};
    if (!npu_->retired()) p.context = npu_->jobs().context(p.shape, core, weight_->domain());
    for (size_t turn = 0; p.context && turn < n_output_turns; turn++)
        p.outputs[turn] = npu_->jobs().output(p.shape, core, turn, weight_->domain());
    parts_.push_back(p);
    return parts_.back();
}

void npu_experts::reset() {
    weight_visible_ = npu_->make_visible(weight_->pool());
    team_.reset();
    listed_ = 0;
}

void npu_experts::list_jobs(size_t batch) {
    runner_.begin(*npu_, weight_->plan(), output_, output_stride_, name_.c_str());
    for (const expert_job * e = stage_->begin(batch); e != stage_->end(batch); e++) {
        for (size_t segment = 0; segment < n_steps(e->M); segment++)
            add_job(*e, segment);
    }
    runner_.reset();
}

void npu_experts::add_job(const expert_job & e, size_t segment) {
    const matmul_plan & plan = weight_->plan();
    const bool joint = joins_segments(plan, e.M);
    const job_parts & parts = parts_of(e.M, segment, e.core);
    const staging_slot & staging = stage_->slot(e, segment);
    queued_job j{};
    j.shape = parts.shape;
    j.core = e.core;
    j.context = parts.context;
    j.output = parts.outputs[runner_.next_turn(e.core)];
    j.activation = staging.window.get();
    j.activation_data = staging.data;
    j.weight = joint ? &weight_->joint_piece(0, e.expert) : &weight_->piece(segment, 0, e.expert);
    j.n_shared = plan.N;
    j.rows = e.rows;
    j.row_scales = stage_->scales() + e.begin;
    j.targets = stage_->pairs() + e.begin;
    runner_.add(j);
    if (joint)
        runner_.add_joint_parts(*weight_, e.expert, plan.joint_slices.front(), e.M);
    else
        runner_.add_part({0, 0, 0, plan.N, weight_->scales(segment, e.expert), segment > 0});
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
            runner_.run(ith, nth, weight_visible_ && stage_->visible(), team_);
        }
        const std::vector<cpu_row> rows = stage_->rows_on_cpu();
        if (rows.empty()) return;
        team_.barrier(nth); // all have written what they have of these rows
        multiply_on_cpu(*weight_, stage_->source(), rows, output_, output_stride_, ith, nth);
    });
}

} // namespace rknpu
