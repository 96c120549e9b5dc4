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
    {"npu-stream", "NPU: bound by weights from DRAM"},
    {"npu-compute", "NPU: bound by products or their outputs"},
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
    done.npu_core_us += other.done.npu_core_us;
    done.dram_bytes += other.done.dram_bytes;
    done.cpu_core_us += other.done.cpu_core_us;
    return *this;
}

forecast::forecast(const gguf_model & model, const board & where, const chip & soc, const policy & formats,
                   size_t context)
    : model_(model), board_(where), soc_(with_memory(soc, memory_factor(where))), host_(costs_of(where)),
      context_(context) {
    plan_settings wishes;
    wishes.formats = formats;
    planned_ = plan_tensors(model, soc_, wishes, limit_weights(soc_, 0, 0));
    look_up_sizes();
}

forecast::forecast(const gguf_model & model, const board & where, const chip & soc, cpu_only, size_t context)
    : model_(model), board_(where), soc_(with_memory(soc, memory_factor(where))), host_(costs_of(where)),
      context_(context) {
    for (const model_tensor & t : model.tensors) {
        if (t.is_multiplied) planned_.push_back({&t, status(errc::unsupported, "the CPU alone")});
    }
    look_up_sizes();
}

void forecast::look_up_sizes() {
    bytes_ = bytes_of(model_, planned_);
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
        const double us = cpu_matmul_us(host_, *p.tensor, rows, n_used);
        sum[part::cpu_matmul] += us;
        sum.done.cpu_core_us += us * host_.threads;
        sum.done.dram_bytes += us * host_.read_gb_s * 1e3;
        return;
    }
    const matmul_plan & plan = p.plan.value();
    const bool is_stack = plan.n_matrices > 1;
    const tensor_jobs jobs = jobs_of(p, rows, n_used);
    const npu_work whole = work_of(soc_, jobs.jobs), npu = whole.times(jobs.share);
    sum[part::npu_start] += npu.start_us;
    sum[part::npu_stream] += npu.stream_us;
    sum[part::npu_compute] += npu.compute_us;
    sum.done.npu_core_us += npu.core_us;
    sum.done.dram_bytes += npu.dram_bytes;
    const size_t rows_out = is_stack ? rows * n_used : rows;
    double convert = fill ? quantize_us(host_, plan, rows) : 0;
    sum.done.cpu_core_us += convert * std::min(host_.threads, double(rows));
    // The cells of a row are copied into the job of each expert that reads it, once for all stacks that do.
    if (fill && is_stack && rows > 1)
        convert += double(rows_out) * double(element_bytes(plan.type(), plan.K)) * plan.traits().digits /
                   (host_.copy_gb_s * host_.threads) * 1e-3;
    // The outputs of a step are read while the NPU works on the next one: all but one step's worth is hidden.
    const double read = dequantize_us(host_, plan, rows_out);
    convert += std::max(read - npu.total_us(), 0.0) + std::min(read, npu.total_us()) / whole.steps;
    sum.done.cpu_core_us += read * host_.threads;
    sum[part::convert] += convert;
    // Binds of the weight and of the output; the rest of the runtime's calls is in the NPU's fixed cost (chip.cpp).
    // Who reads other columns of a product that is there, or has its jobs in another's list, waits for nothing.
    const double wake = jobs.is_first ? host_.wake_us + whole.steps * (2 * soc_.call_us + host_.job_us) : 0;
    sum[part::wake] += wake;
    sum.done.cpu_core_us += wake;
}

time_split forecast::call(size_t rows, size_t cells, size_t logits) const {
    time_split sum;
    std::set<std::string> filled; // activations that are there
    for (const planned_tensor & p : planned_) {
        const size_t n = is_output(*p.tensor) ? logits : rows;
        if (n == 0) continue;
        const std::string group = activation_group(p.tensor->facts.name);
        add_product(p, n, p.on_npu() && filled.insert(group).second, sum);
    }
    for (const model_layer & layer : model_.layers) {
        const double attention = attention_us(host_, layer, rows, cells, attention_kind::flash);
        const double operators = operators_us(host_, layer, n_embd_, rows, model_.n_experts_used);
        sum[part::attention] += attention;
        sum[part::operators] += operators;
        sum.done.cpu_core_us += attention * host_.threads + operators * std::min(host_.threads, double(rows));
    }
    sum[part::program] += host_.token_us + soc_.domain_switch_us * double(bytes_.n_switches());
    sum.done.cpu_core_us += host_.token_us;
    return sum;
}

double forecast::joules(const time_split & t) const {
    return energy_uj(power_of(soc_), t.done) * 1e-6;
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
        widest =
            std::max(widest, layer.ffn_width + int64_t(model_.n_experts_used) * layer.expert_width + layer.q_width);
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
