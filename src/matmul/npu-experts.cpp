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
        for (size_t segment = 0; segment < weight.plan().segments.size(); segment++) {
            for (int core = 0; core < stage.n_cores(); core++)
                parts_of(M, segment, core);
        }
    }
}

job_shape npu_experts::shape_of(size_t M, size_t segment) const {
    const matmul_plan & plan = weight_->plan();
    return {plan.type(), M, plan.segments[segment].K_padded, plan.N_padded()};
}

const npu_experts::job_parts & npu_experts::parts_of(size_t M, size_t segment, int core) {
    for (const job_parts & p : parts_) {
        if (p.M == M && p.segment == segment && p.core == core) return p;
    }
    job_parts p{M, segment, core, nullptr, {}};
    const job_shape shape = shape_of(M, segment);
    if (!npu_->retired()) p.context = npu_->jobs().context(shape, core, weight_->domain());
    for (size_t turn = 0; p.context && turn < n_output_turns; turn++)
        p.outputs[turn] = npu_->jobs().output(shape, core, turn, weight_->domain());
    parts_.push_back(p);
    return parts_.back();
}

void npu_experts::reset() {
    weight_visible_ = npu_->make_visible(weight_->pool());
    team_.reset();
    listed_ = 0;
}

void npu_experts::list_jobs(size_t batch) {
    const matmul_plan & plan = weight_->plan();
    runner_.begin(*npu_, plan, output_, output_stride_, name_.c_str());
    for (const expert_job * e = stage_->begin(batch); e != stage_->end(batch); e++) {
        for (size_t segment = 0; segment < plan.segments.size(); segment++) {
            const job_parts & parts = parts_of(e->M, segment, e->core);
            const staging_slot & staging = stage_->slot(*e, segment);
            queued_job j{};
            j.shape = shape_of(e->M, segment);
            j.core = e->core;
            j.context = parts.context;
            j.output = parts.outputs[runner_.next_turn(e->core)];
            j.activation = staging.window.get();
            j.activation_data = staging.data;
            j.weight = &weight_->piece(segment, 0, e->expert);
            j.column_scales = weight_->scales(segment, e->expert);
            j.n_columns = plan.N;
            j.rows = e->rows;
            j.row_scales = stage_->scales() + e->begin;
            j.targets = stage_->pairs() + e->begin;
            j.accumulate = segment > 0;
            runner_.add(j);
        }
    }
    runner_.reset();
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
