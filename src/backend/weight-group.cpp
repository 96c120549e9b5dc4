// See weight-group.h.
#include "backend/weight-group.h"

#include "backend/group-on-disk.h"
#include "backend/imatrix.h"
#include "base/log.h"
#include "numerics/stats-file.h"
#include "numerics/weight-feedback.h"
#include "plan/policy.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>
#include <optional>

namespace rknpu {

namespace {

// What GGML_RKNPU_STATS names: moments or mean squares, opened once.
struct statistics {
    std::optional<stats_file> file;
    column_importance imatrix;

    // Empty where nothing is known of the activation of these weights.
    std::vector<float> mean_squares(const std::vector<arrived_weight> & weights) const {
        if (imatrix.empty()) return {};
        for (const arrived_weight & w : weights) {
            const auto found = imatrix.find(ggml_get_name(w.tensor));
            if (found != imatrix.end() && found->second.size() == size_t(w.tensor->ne[0])) return found->second;
        }
        say_lack(weights.front().tensor);
        return {};
    }

private:
    // llama-imatrix leaves the output head out unless it is asked for it. What else is missing, or has another size,
    // belongs to another model.
    void say_lack(const ggml_tensor * weight) const {
        const auto found = imatrix.find(ggml_get_name(weight));
        if (found == imatrix.end() && role_of(ggml_get_name(weight)).name == "output") return;
        const std::string lack = found == imatrix.end()
                                     ? std::string("does not know ") + ggml_get_name(weight)
                                     : format_text("has %zu columns of %s, not %zu", found->second.size(),
                                                   ggml_get_name(weight), size_t(weight->ne[0]));
        static std::once_flag once;
        std::call_once(once, [&] {
            log_warn("the imatrix %s was made with another model: it %s; weights that it does not know are converted "
                     "without it; make one with llama-imatrix -m <this model> -f text.txt -o imatrix.gguf",
                     the_plugin().npu->wishes().stats.c_str(), lack.c_str());
        });
    }
};

// What the conversion of a group will know of its activation, as a part of its key on disk.
std::string identity(const weight_group & group, const std::vector<arrived_weight> & weights,
                     const statistics & known) {
    if (known.file) {
        const stats_entry * entry = known.file->find(group.name);
        if (entry && entry->K == group.K) return format_text("moments %016llx", (unsigned long long)entry->checksum);
    }
    const std::vector<float> mean = known.mean_squares(weights);
    return mean.empty() ? "none" : "mean squares " + hash_of(mean.data(), mean.size() * sizeof(float)).text();
}

bool is_gguf(const std::string & path) {
    char magic[4] = {};
    return std::ifstream(path).read(magic, sizeof(magic)) && std::memcmp(magic, "GGUF", 4) == 0;
}

status read_statistics(const std::string & path, statistics & s) {
    if (is_gguf(path)) {
        auto read = read_imatrix(path);
        if (read.ok()) s.imatrix = std::move(read.value());
        return read.ok() ? status() : read.status();
    }
    auto opened = stats_file::open(path);
    if (opened.ok()) s.file.emplace(std::move(opened.value()));
    return opened.ok() ? status() : opened.status();
}

const statistics & the_statistics() {
    static const statistics s = [] {
        statistics read;
        const std::string & path = the_plugin().npu->wishes().stats;
        if (path.empty()) return read;
        if (const status failed = read_statistics(path, read); !failed.ok())
            log_error("%s; weights are converted without it", failed.message().c_str());
        return read;
    }();
    return s;
}

scale_method method_of(const std::string & name) {
    if (name == "absmax") return scale_method::absmax;
    if (name == "kl") return scale_method::kl;
    if (name != "mse" && name != "nearest")
        log_warn("scale search '%s' is not known; use mse, nearest, absmax or kl; using mse", name.c_str());
    return scale_method::mse;
}

scale_method the_scale_method() {
    static const scale_method method = method_of(the_plugin().npu->wishes().scales);
    return method;
}

std::vector<float> diagonal(const std::vector<float> & H, size_t K) {
    std::vector<float> d(K);
    for (size_t k = 0; k < K; k++)
        d[k] = H[k * K + k];
    return d;
}

// Moments of the group's activation give everything: balance, importance and error feedback.
status prepare_with_moments(weight_group & group, const matmul_plan & plan, const std::vector<weight_rows> & rows) {
    std::vector<float> H;
    {
        const auto m = the_statistics().file->read(group.name, group.K);
        if (!m.ok()) return m.status();
        if (plan.balance) group.how.balance = balance_columns(rows, group.K, m.value().mean_squares());
        const rotation rotate = make_rotation(plan.K, plan.rotation_block, plan.rotation_seed);
        H = transform_moments(m.value(), group.how.balance.empty() ? nullptr : group.how.balance.data(), rotate);
    }
    group.how.importance = diagonal(H, group.K);
    auto feedback = error_feedback::make(std::move(H), group.K);
    if (!feedback.ok()) return feedback.status();
    group.how.feedback = std::make_shared<const error_feedback>(std::move(feedback.value()));
    return {};
}

// Where nothing else is known.
status prepare_with_weights(weight_group & group, const matmul_plan & plan, const std::vector<weight_rows> & rows) {
    const basis in{make_rotation(plan.K, plan.rotation_block, plan.rotation_seed), group.how.balance};
    auto feedback = feedback_of_weights(rows, group.K, in);
    // Weights that are not finite: whoever packs them says so.
    if (feedback.ok()) group.how.feedback = std::make_shared<const error_feedback>(std::move(feedback.value()));
    return {};
}

// What needs memory by the square of K may find none.
template <class F> status within_memory(F && work) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return {errc::out_of_memory,
                "not enough memory to convert a weight; close other programs, or load without GGML_RKNPU_STATS or "
                "with GGML_RKNPU_SCALES=nearest"};
    }
}

// Statistics of another model lack, or contradict, one activation after the other: said once.
void say_failure(const status & s) {
    const bool of_another_model = s.code() == errc::not_found || s.code() == errc::incompatible;
    static std::atomic<bool> said{false};
    if (of_another_model && said.exchange(true))
        log_debug("%s", s.message().c_str());
    else
        log_warn("%s; the weights that it does not know are converted without it", s.message().c_str());
}

// False if it could not be done with all that is known.
bool prepare(weight_group & group, const std::vector<arrived_weight> & weights) {
    const auto integer = std::find_if(weights.begin(), weights.end(), [](const arrived_weight & w) {
        return w.t->weight->plan().traits().is_integer();
    });
    if (integer == weights.end()) return true;
    const matmul_plan & plan = integer->t->weight->plan();
    const scale_method method = the_scale_method();
    group.how.search = method;
    std::vector<weight_rows> rows;
    for (const arrived_weight & w : weights)
        rows.push_back({rows_of(w.tensor, w.data), size_t(ggml_nrows(w.tensor))});
    bool complete = true;
    if (the_statistics().file) {
        const status s = within_memory([&] { return prepare_with_moments(group, plan, rows); });
        if (s.ok()) return true;
        complete = s.code() == errc::not_found || s.code() == errc::incompatible; // as if there were no statistics
        group.how = {};
        group.how.search = method;
        say_failure(s);
    }
    if (plan.balance) group.how.balance = balance_columns(rows, group.K, the_statistics().mean_squares(weights));
    if (method != scale_method::mse || the_plugin().npu->wishes().scales == "nearest") return complete;
    const status s = within_memory([&] { return prepare_with_weights(group, plan, rows); });
    if (s.ok()) return complete;
    group.how.feedback.reset();
    log_warn("%s; the weights of %s are rounded to their nearest codes", s.message().c_str(), group.name.c_str());
    return false;
}

void note_loaded(const arrived_weight & w) {
    w.t->loaded = true;
    the_plugin().weights_generation++; // its segments may be others than before
    const matmul_plan & plan = w.t->weight->plan();
    the_plugin().note({w.t, ggml_get_name(w.tensor), format_name(plan.numeric_format), "", plan.weight_bytes()});
}

void convert_one(const weight_group & group, const arrived_weight & w) {
    const status s = within_memory([&] { return w.t->weight->load(rows_of(w.tensor, w.data), group.how); });
    if (s.ok()) {
        note_loaded(w);
        return;
    }
    log_warn("%s stays on the CPU: %s", ggml_get_name(w.tensor), s.message().c_str());
    std::vector<uint8_t> bytes(w.data, w.data + ggml_nbytes(w.tensor)); // w.data may be the weight's own
    keep_on_cpu(*w.t, w.tensor, s.message());
    w.t->plain = std::move(bytes);
}

} // namespace

row_source rows_of(const ggml_tensor * tensor, const uint8_t * data) {
    const size_t row_bytes = ggml_row_size(tensor->type, tensor->ne[0]), K = size_t(tensor->ne[0]);
    const auto to_f32 = tensor->type == GGML_TYPE_F32 ? nullptr : ggml_get_type_traits(tensor->type)->to_float;
    return [=](size_t n, float * row) {
        if (to_f32)
            to_f32(data + n * row_bytes, row, int64_t(K));
        else
            std::memcpy(row, data + n * row_bytes, K * sizeof(float));
    };
}

void convert_weights(weight_group & group, const std::vector<arrived_weight> & weights) {
    // A weight that comes alone after its group, or again, is no part of what the key names.
    const bool whole = !group.integer || (!group.prepared && weights.size() == group.members.size());
    const bool on_disk = whole && group.store && group.store->active();
    // Only now: until here a part of a weight could still change.
    for (size_t i = 0; on_disk && i < weights.size(); i++)
        weights[i].t->source = parallel_hash(weights[i].data, ggml_nbytes(weights[i].tensor));
    const hash128 key = on_disk ? key_of(group, weights, identity(group, weights, the_statistics())) : hash128();
    if (on_disk && read_group(group, weights, key)) {
        group.how.search = the_scale_method();
        group.prepared = true;
        for (const arrived_weight & w : weights)
            note_loaded(w);
        keep_group(group, weights, key);
        return;
    }
    const bool complete = group.prepared || prepare(group, weights);
    group.prepared = true;
    for (const arrived_weight & w : weights)
        convert_one(group, w);
    const bool all = std::all_of(weights.begin(), weights.end(), [](const auto & w) { return w.t->on_npu(); });
    if (on_disk && all && complete) keep_group(group, weights, key);
    // Of no use any more, and large: K^2 / 2 values. The balance stays, for the basis must.
    const bool done = std::all_of(group.members.begin(), group.members.end(),
                                  [](const packed_tensor * t) { return t->on_npu() || !t->plain.empty(); });
    if (done) {
        group.how.feedback.reset();
        group.how.importance = {};
    }
}

} // namespace rknpu
