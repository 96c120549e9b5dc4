// See job-cache.h.
#include "matmul/job-cache.h"

#include "base/log.h"

namespace rknpu {

namespace {

// Outputs up to this size share an allocation: a sync of 256 cache lines is lost in the cost of a run.
constexpr size_t output_bytes_min = size_t(16) << 10;

template <class M> void erase_empty(M & slots) {
    for (auto i = slots.begin(); i != slots.end();)
        i = i->second ? std::next(i) : slots.erase(i);
}

} // namespace

void job_cache::retry_failures(uint64_t generation) {
    if (generation == generation_) return;
    generation_ = generation;
    erase_empty(contexts_);
    erase_empty(outputs_);
    erase_empty(output_memories_);
    for (auto & [domain, arena] : arenas_)
        arena->retry_failures();
    for (auto i = activations_.begin(); i != activations_.end();)
        i = i->second->memory ? std::next(i) : activations_.erase(i);
}

job_context * job_cache::context(const job_shape & shape, int core, int domain) {
    const auto key = std::make_tuple(shape.type, shape.M, shape.K, shape.N, core, domain);
    const auto found = contexts_.find(key);
    if (found != contexts_.end()) return found->second.get();
    auto & slot = contexts_[key]; // stays empty on failure: not tried again
    auto created = npu_.create_context(shape, core, domain);
    if (!created.ok()) {
        log_warn("%s; jobs of this shape run on the CPU", created.status().message().c_str());
        return nullptr;
    }
    counters_.contexts++;
    slot = std::move(created.value());
    return slot.get();
}

device_memory * job_cache::output(const job_shape & shape, int core, size_t turn, int domain) {
    const size_t bytes = shape.output_bytes();
    const auto found = outputs_.find({bytes, core, turn, domain});
    if (found != outputs_.end()) return found->second.get();
    auto & slot = outputs_[{bytes, core, turn, domain}];
    device_memory * memory = output_memory(bytes, core, turn, domain);
    if (!memory) return nullptr;
    auto window = npu_.view(*memory, 0, bytes);
    if (!window.ok()) {
        log_warn("%s for the output of a job; such jobs run on the CPU", window.status().message().c_str());
        return nullptr;
    }
    counters_.memories++;
    slot = std::move(window.value());
    return slot.get();
}

// Powers of two: a sync covers at most twice the bytes that were written.
device_memory * job_cache::output_memory(size_t bytes, int core, size_t turn, int domain) {
    size_t size = output_bytes_min;
    while (size < bytes)
        size *= 2;
    const auto found = output_memories_.find({size, core, turn, domain});
    if (found != output_memories_.end()) return found->second.get();
    auto & slot = output_memories_[{size, core, turn, domain}];
    auto memory = npu_.allocate(size, domain);
    if (!memory.ok()) {
        log_warn("%s for the output of a job; such jobs run on the CPU", memory.status().message().c_str());
        return nullptr;
    }
    counters_.memories++;
    slot = std::move(memory.value());
    return slot.get();
}

staging_arena & job_cache::arena(int domain) {
    auto & slot = arenas_[domain];
    if (!slot) slot = std::make_unique<staging_arena>(npu_, counters_, domain, closed_);
    return *slot;
}

activation_staging * job_cache::activation(element type, size_t M, size_t K, int domain, size_t index) {
    auto & slot = activations_[std::make_tuple(type, M, K, domain, index)];
    if (slot) return slot.get();
    slot = std::make_unique<activation_staging>();
    const size_t bytes = element_bytes(type, M * K);
    if (closed_) {
        slot->plain.resize(bytes);
        return slot.get();
    }
    auto memory = npu_.allocate(bytes, domain);
    if (memory.ok()) {
        counters_.memories++;
        slot->memory = std::move(memory.value());
    } else {
        log_warn("%s for an activation; its jobs run on the CPU", memory.status().message().c_str());
        slot->plain.resize(bytes);
    }
    return slot.get();
}

} // namespace rknpu
