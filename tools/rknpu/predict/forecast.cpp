// See forecast.h.
#include "predict/forecast.h"

#include "model-layers.h"

#include <algorithm>
#include <set>

namespace rknpu {

namespace {

struct part_row {
    const char * name;
    const char * meaning;
};
// In the order of the enumeration.
constexpr part_row part_table[n_parts] = {
    {"npu-start", "NPU: fixed cost of runs"},
    {"npu-stream", "NPU: weights from DRAM"},
    {"npu-compute", "NPU: products and their outputs"},
    {"wake", "handing work to the NPU and waking up"},
    {"convert", "CPU: rotating, quantizing, dequantizing"},
    {"cpu-matmul", "CPU: matmuls that are not on the NPU"},
    {"attention", "CPU: attention over the KV cache"},
    {"operators", "CPU: norms, rope, gates and the like"},
    {"program", "llama.cpp around the graph"},
};

chip with_memory(chip soc, double factor) {
    soc.stream_all_gb_s *= factor;
    return soc;
}

// The plan on another chip of the same shape.
matmul_plan on_chip(matmul_plan plan, const chip & soc) {
    plan.soc = &soc;
    return plan;
}

struct npu_time {
    double start, stream, compute;
    double total() const { return start + stream + compute; }
};

// What each term is worth: the time less the time of a chip that does not have it.
npu_time npu_us(const matmul_plan & plan, size_t rows, size_t n_used) {
    chip no_start = *plan.soc, no_stream = *plan.soc;
    no_start.run_us = no_start.node_us = 0;
    no_stream.stream_gb_s = no_stream.stream_all_gb_s = 1e9;
    const double all = plan_us(plan, rows, n_used);
    npu_time time{};
    time.start = all - plan_us(on_chip(plan, no_start), rows, n_used);
    time.stream = all - plan_us(on_chip(plan, no_stream), rows, n_used);
    time.compute = all - time.start - time.stream;
    return time;
}

bool is_output(const model_tensor & t) {
    return role_of(t.facts.name).name == "output";
}

} // namespace

const char * part_name(part p) {
    return part_table[size_t(p)].name;
}

const char * part_meaning(part p) {
    return part_table[size_t(p)].meaning;
}

double time_split::total() const {
    double sum = 0;
    for (const double part : us)
        sum += part;
    return sum;
}

double time_split::npu() const {
    return (*this)[part::npu_start] + (*this)[part::npu_stream] + (*this)[part::npu_compute];
}

time_split & time_split::operator+=(const time_split & other) {
    for (size_t i = 0; i < n_parts; i++)
        us[i] += other.us[i];
    return *this;
}

forecast::forecast(const gguf_model & model, const board & where, const chip & soc, const policy & formats,
                   size_t context)
    : model_(model), board_(where), soc_(with_memory(soc, memory_factor(where))), host_(costs_of(where)),
      context_(context) {
    plan_settings wishes;
    wishes.formats = formats;
    planned_ = plan_tensors(model, soc_, wishes, limit_weights(soc_, 0, 0));
    bytes_ = bytes_of(model, planned_);
    for (const planned_tensor & p : planned_) {
        if (p.plan.ok() && !p.on_npu()) n_refused_++;
        if (!is_output(*p.tensor)) continue;
        n_embd_ = p.tensor->facts.K;
        n_vocab_ = p.tensor->facts.N;
    }
}

void forecast::add_product(const planned_tensor & p, size_t rows, bool fill, time_split & sum) const {
    const size_t n_used = model_.n_experts_used;
    if (!p.on_npu()) {
        sum[part::cpu_matmul] += cpu_matmul_us(host_, *p.tensor, rows, n_used);
        return;
    }
    const matmul_plan & plan = p.plan.value();
    const bool is_stack = plan.n_matrices > 1;
    const npu_time npu = npu_us(plan, rows, n_used);
    sum[part::npu_start] += npu.start;
    sum[part::npu_stream] += npu.stream;
    sum[part::npu_compute] += npu.compute;
    const size_t rows_out = is_stack ? rows * n_used : rows;
    std::vector<row_chunk> chunks;
    const size_t n_active = is_stack ? std::min(plan.n_matrices, rows_out) : 1;
    plan_rows(plan, (rows_out + n_active - 1) / n_active, chunks);
    const double steps = double(chunks.size() * plan.segments.size() * n_active);
    if (fill) sum[part::convert] += quantize_us(host_, plan, rows);
    // The cells of a row are copied into the job of each expert that reads it.
    if (is_stack && rows > 1)
        sum[part::convert] += double(rows_out) * double(element_bytes(plan.type(), plan.K)) *
                              plan.traits().digits / (host_.copy_gb_s * host_.threads) * 1e-3;
    // The outputs of a step are read while the NPU works on the next one: all but one step's worth is hidden.
    const double read = dequantize_us(host_, plan, rows_out);
    sum[part::convert] += std::max(read - npu.total(), 0.0) + std::min(read, npu.total()) / steps;
    // Binds of the weight and of the output; the rest of the runtime's calls is in the NPU's fixed cost (chip.cpp).
    const double runs_in_turn = is_stack ? steps / std::min(double(n_active), double(plan.soc->n_cores)) : steps;
    sum[part::wake] += host_.wake_us + runs_in_turn * (2 * host_.bind_us + host_.job_us);
}

time_split forecast::call(size_t rows, size_t cells, size_t logits) const {
    time_split sum;
    std::set<std::string> filled; // activations that are there
    for (const planned_tensor & p : planned_) {
        const size_t n = is_output(*p.tensor) ? logits : rows;
        if (n == 0) continue;
        const std::string group = activation_group(p.tensor->facts.name);
        add_product(p, n, !p.on_npu() || filled.insert(group).second, sum);
    }
    for (const model_layer & layer : model_.layers) {
        sum[part::attention] += attention_us(host_, layer, rows, cells);
        sum[part::operators] += operators_us(host_, layer, n_embd_, rows, model_.n_experts_used);
    }
    sum[part::program] += host_.token_us;
    return sum;
}

time_split forecast::prompt(size_t n) const {
    time_split sum;
    for (size_t done = 0; done < n;) {
        const size_t rows = std::min(micro_batch, n - done);
        done += rows;
        sum += call(rows, done, done == n ? 1 : 0);
    }
    return sum;
}

uint64_t forecast::kv_bytes() const {
    return rknpu::kv_bytes(model_.layers, context_);
}

uint64_t forecast::work_bytes() const {
    int64_t widest = 0;
    for (const model_layer & layer : model_.layers)
        widest = std::max(widest, layer.ffn_width + int64_t(model_.n_experts_used) * layer.expert_width + layer.q_width);
    // llama.cpp's compute buffer: a few activations of a micro-batch, the mask, and one row of logits.
    const uint64_t compute = uint64_t(micro_batch) * uint64_t(3 * widest + 6 * n_embd_) * 4 +
                             uint64_t(micro_batch) * context_ * 2 + uint64_t(n_vocab_) * 4;
    // Contexts of each shape and size of jobs: 0.3 to 0.5 MB each (pty819/rk-llama.cpp); staging up to 32 MiB a size.
    std::set<std::pair<size_t, size_t>> shapes;
    for (const planned_tensor & p : planned_) {
        if (p.on_npu()) shapes.insert({p.plan.value().K, p.plan.value().N});
    }
    return compute + uint64_t(shapes.size()) * 3 * 3 * 500000 + (uint64_t(96) << 20);
}

uint64_t forecast::ram_bytes() const {
    return bytes_.npu_memory() + bytes_.cpu_source + kv_bytes() + work_bytes();
}

uint64_t forecast::ram_limit() const {
    // The firmware and a Debian without a desktop: a guess, generous on purpose.
    constexpr uint64_t system_bytes = uint64_t(768) << 20;
    return (uint64_t(board_.ram_gib) << 30) - system_bytes;
}

} // namespace rknpu
