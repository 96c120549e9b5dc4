// See npu-matmul.h.
#include "matmul/npu-matmul.h"

#include "matmul/rows-on-cpu.h"

namespace rknpu {

void npu_matmul::prepare(engine & npu, const packed_weight & weight, const activation_stage & stage, float * output,
                         size_t output_stride, const char * name) {
    npu_ = &npu;
    weight_ = &weight;
    stage_ = &stage;
    output_ = output;
    output_stride_ = output_stride;
    runner_.begin(npu, weight.plan(), output, output_stride, name);
    for (size_t chunk = 0; chunk < stage.chunks().size(); chunk++) {
        for (size_t segment = 0; segment < weight.plan().segments.size(); segment++)
            add_step(chunk, segment);
    }
}

void npu_matmul::add_step(size_t chunk, size_t segment) {
    const matmul_plan & plan = weight_->plan();
    const row_chunk & rows = stage_->chunks()[chunk];
    const staging_slot & staging = stage_->staging(chunk, segment);
    const bool in_reach = staging.window && !npu_->retired();
    for (size_t slice = 0; slice < plan.slices.size(); slice++) {
        const n_slice & cut = plan.slices[slice];
        queued_job j{};
        j.shape = {plan.type(), rows.M, plan.segments[segment].K_padded, cut.N_padded};
        j.core = int(slice);
        j.context = in_reach ? npu_->jobs().context(j.shape, j.core, weight_->domain()) : nullptr;
        j.output =
            j.context ? npu_->jobs().output(j.shape, j.core, runner_.next_turn(j.core), weight_->domain()) : nullptr;
        j.activation = staging.window.get();
        j.activation_data = staging.data;
        j.weight = &weight_->piece(segment, slice);
        j.column_scales = weight_->scales(segment) + cut.n_begin;
        j.first_column = cut.n_begin;
        j.n_columns = cut.N;
        j.rows = rows.rows;
        j.row_scales = stage_->scales() + rows.m_begin;
        j.first_row = rows.m_begin;
        j.accumulate = segment > 0;
        runner_.add(j);
    }
}

void npu_matmul::reset() {
    weight_visible_ = npu_->make_visible(weight_->pool());
    team_.reset();
    runner_.reset();
}

void npu_matmul::run(int ith, int nth) {
    team_.guard([&] {
        runner_.run(ith, nth, weight_visible_ && stage_->visible(), team_);
        const std::vector<cpu_row> rows = stage_->rows_on_cpu();
        if (rows.empty()) return;
        team_.barrier(nth); // all have written what they have of these rows
        multiply_on_cpu(*weight_, stage_->source(), rows, output_, output_stride_, ith, nth);
    });
}

} // namespace rknpu
