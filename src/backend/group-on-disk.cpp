// See group-on-disk.h. Facts of a record, u32 each: 1 if the payload begins with a balance, number of weights, number
// of K segments of each. The payload: the balance (K x f32), then the contents() of each weight.
#include "backend/group-on-disk.h"

#include "base/log.h"

#include <cstring>

namespace rknpu {

namespace {

std::string facts_of(bool has_balance, const std::vector<arrived_weight> & weights) {
    std::vector<uint32_t> numbers = {has_balance, uint32_t(weights.size())};
    for (const arrived_weight & w : weights)
        numbers.push_back(uint32_t(w.t->weight->plan().segments.size()));
    return std::string(reinterpret_cast<const char *>(numbers.data()), numbers.size() * sizeof(uint32_t));
}

std::vector<byte_range> ranges_of(const std::vector<float> & balance, const std::vector<arrived_weight> & weights) {
    std::vector<byte_range> ranges;
    if (!balance.empty())
        ranges.push_back(
            {reinterpret_cast<uint8_t *>(const_cast<float *>(balance.data())), balance.size() * sizeof(float)});
    for (const arrived_weight & w : weights) {
        const auto contents = w.t->weight->contents();
        ranges.insert(ranges.end(), contents.begin(), contents.end());
    }
    return ranges;
}

// Cuts the weights as the record has them and reads it.
bool read_record(weight_store & store, const store_record & record, const std::vector<arrived_weight> & weights,
                 std::vector<float> & balance) {
    std::vector<uint32_t> facts(record.facts.size() / sizeof(uint32_t));
    std::memcpy(facts.data(), record.facts.data(), facts.size() * sizeof(uint32_t));
    const std::string why = "a record of packed weights does not fit its weights; please report this";
    if (facts.size() != 2 + weights.size() || facts[1] != weights.size()) {
        store.refuse(why);
        return false;
    }
    for (size_t i = 0; i < weights.size(); i++) {
        if (const status s = weights[i].t->weight->cut_as_packed(facts[2 + i]); !s.ok()) {
            store.refuse(s.message());
            return false;
        }
    }
    balance.assign(facts[0] ? size_t(weights[0].tensor->ne[0]) : 0, 0.0f);
    const std::vector<byte_range> into = ranges_of(balance, weights);
    if (total_bytes(into) == record.bytes) return store.read(record, into);
    store.refuse(why);
    return false;
}

} // namespace

hash128 key_of(const weight_group & group, const std::vector<arrived_weight> & weights,
               const std::string & statistics) {
    const engine & npu = *the_plugin().npu;
    std::string text = format_text("conversion %d, %s, %s, K %zu", conversion_version, npu.info().soc->name,
                                   group.name.c_str(), group.K);
    if (group.integer) text += ", scales " + npu.wishes().scales + ", statistics " + statistics;
    for (const arrived_weight & w : weights) {
        const matmul_plan & plan = w.t->weight->plan();
        text += format_text("\n%s %s %zu x %zu, %s, padded to %zu, rotated by %zu %016llx, balance %d,",
                            ggml_get_name(w.tensor), ggml_type_name(w.tensor->type), plan.n_matrices, plan.N,
                            format_name(plan.numeric_format), plan.N_padded(), plan.rotation_block,
                            (unsigned long long)plan.rotation_seed, int(plan.balance));
        for (const k_segment & segment : w.t->weight->planned_segments())
            text += format_text(" %zu", segment.K);
        text += ", " + w.t->source.text();
    }
    return hash_of(text.data(), text.size());
}

bool read_group(weight_group & group, const std::vector<arrived_weight> & weights, const hash128 & key) {
    const store_record * record = group.store->find(key, weights.size());
    if (!record) return false;
    std::vector<float> balance;
    if (!read_record(*group.store, *record, weights, balance)) {
        for (const arrived_weight & w : weights) {
            const status s = w.t->weight->forget_cuts();
            if (!s.ok()) log_error("%s: %s", ggml_get_name(w.tensor), s.message().c_str());
        }
        return false;
    }
    the_plugin().npu->count().disk_bytes += record->bytes;
    for (const arrived_weight & w : weights)
        w.t->weight->loaded_from_disk(balance);
    group.how.balance = std::move(balance);
    return true;
}

void keep_group(const weight_group & group, const std::vector<arrived_weight> & weights, const hash128 & key) {
    const std::vector<float> & balance = group.how.balance;
    group.store->keep(key, facts_of(!balance.empty(), weights), ranges_of(balance, weights));
}

} // namespace rknpu
