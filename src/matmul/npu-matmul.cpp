// See npu-matmul.h.
#include "matmul/npu-matmul.h"

#include "matmul/rows-on-cpu.h"

namespace rknpu {

bool takes_merged(const activation_stage & stage, const merged_weight & merged) {
    const matmul_plan & first = merged.members().front()->plan();
    return stage.chunks().size() == 1 && (first.segments.size() == 1 || stage.is_joint(0)) &&
           takes_merged(merged.plan(), first, stage.chunks().front().M);
}

void npu_matmul::prepare(engine & npu, const packed_weight & weight, const activation_stage & stage, float * output,
                         size_t output_stride, const char * name, const merged_part & part) {
    npu_ = &npu;
    weight_ = &weight;
    stage_ = &stage;
    output_ = output;
    output_stride_ = output_stride;
    name_ = name;
    runner_.begin(npu, weight.plan(), output_stride);
    if (part.merged) {
        add_merged_step(part);
        return;
    }
    for (size_t chunk = 0; chunk < stage.chunks().size(); chunk++) {
        if (stage.is_joint(chunk)) {
            add_joint_step(chunk);
            continue;
        }
        for (size_t segment = 0; segment < weight.plan().segments.size(); segment++)
            add_step(chunk, segment);
    }
}

// What any job of these rows needs; its shape, core and weight are known.
void npu_matmul::place(queued_job & j, const staging_slot & staging, size_t chunk) {
    const row_chunk & rows = stage_->chunks()[chunk];
    const bool in_reach = staging.window && !npu_->retired();
    j.context = in_reach ? npu_->jobs().context(j.shape, j.core, weight_->domain()) : nullptr;
    j.output = j.context ? npu_->jobs().output(j.shape, j.core, runner_.next_turn(j.core), weight_->domain()) : nullptr;
    j.activation = staging.window.get();
    j.activation_data = staging.data;
    j.rows = rows.rows;
    j.row_scales = stage_->scales() + rows.m_begin;
    j.first_row = rows.m_begin;
    j.to = output_;
    j.name = name_;
    runner_.add(j);
}

void npu_matmul::add_step(size_t chunk, size_t segment) {
    const matmul_plan & plan = weight_->plan();
    for (size_t slice = 0; slice < plan.slices.size(); slice++) {
        const n_slice & cut = plan.slices[slice];
        queued_job j{};
        j.shape = {plan.type(), stage_->chunks()[chunk].M, plan.segments[segment].K_padded, cut.N_padded};
        j.core = int(slice);
        j.weight = &weight_->piece(segment, slice);
        j.shared_column = cut.n_begin;
        j.n_shared = cut.N;
        place(j, stage_->staging(chunk, segment), chunk);
        runner_.add_part({0, 0, cut.n_begin, cut.N, weight_->scales(segment) + cut.n_begin, segment > 0});
    }
}

// A column's segments come from different jobs, so threads share out the columns of the whole output.
void npu_matmul::add_joint_step(size_t chunk) {
    const matmul_plan & plan = weight_->plan();
    const size_t M = stage_->chunks()[chunk].M;
    for (size_t slice = 0; slice < plan.joint_slices.size(); slice++) {
        const n_slice & cut = plan.joint_slices[slice];
        queued_job j{};
        j.shape = {plan.type(), M * plan.segments.size(), plan.segments.front().K_padded, cut.N_padded};
        j.core = int(slice);
        j.weight = &weight_->joint_piece(slice);
        j.n_shared = plan.N;
        place(j, stage_->staging(chunk, 0), chunk);
        runner_.add_joint_parts(*weight_, 0, cut, M);
    }
}

// One job a core: the output stays where it is until all products have read their columns of it.
void npu_matmul::add_merged_step(const merged_part & part) {
    const matmul_plan & plan = weight_->plan();
    const merged_plan & merged = part.merged->plan();
    const size_t M = stage_->chunks().front().M, first_column = merged.first_columns[part.merged->index_of(*weight_)];
    for (size_t slice = 0; slice < merged.slices.size(); slice++) {
        const n_slice & cut = merged.slices[slice];
        queued_job j{};
        if (part.first) { // the very job; asked for again, its memory could be other (thrift_of)
            j = part.first->runner_.job(slice);
            j.n_shared = plan.N;
            j.to = output_;
            j.name = name_;
            runner_.add(j);
        } else {
            j.shape = {plan.type(), M * plan.segments.size(), plan.segments.front().K_padded, cut.N_padded};
            j.core = int(slice);
            j.weight = &part.merged->piece(slice);
            j.n_shared = plan.N;
            place(j, stage_->staging(0, 0), 0);
        }
        runner_.add_joint_parts(*weight_, 0, cut, M, first_column);
    }
    if (part.first) runner_.follow(part.first->runner_);
}

void npu_matmul::reset() {
    weight_visible_ = npu_->make_visible(weight_->pool());
    team_.reset();
    runner_.reset();
}

void npu_matmul::run(int ith, int nth) {
    team_.guard([&] {
        runner_.run(ith, nth, weight_visible_ && stage_->visible(), team_);
        if (stage_->all_finite()) return;
        const std::vector<cpu_row> rows = stage_->rows_on_cpu();
        if (rows.empty()) return;
        team_.barrier(nth); // all have written what they have of these rows
        multiply_on_cpu(*weight_, stage_->source(), rows, output_, output_stride_, ith, nth);
    });
}

} // namespace rknpu
