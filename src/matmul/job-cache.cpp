// See job-cache.h.
#include "matmul/job-cache.h"

#include "base/log.h"
#include "layout/layout.h"

#include <vector>

namespace rknpu {

namespace {

// Sizes of a turn. One domain: a sync covers at most eight times the bytes that were written, and for little ones that
// is lost in the cost of a run (20 GB/s, measured by unimatrix099/rk-llama.cpp). Several: one token, up to 16 rows, up
// to 128, and output heads. Many: one token, batches, and output heads, which lie in one domain only.
const std::vector<size_t> output_kib[] = {
    {16, 64, 256, 1024, 2048, 4096, 8192, 16384}, {16, 256, 1536, 16384}, {64, 2048, 16384}};

template <class M> void erase_empty(M & slots) {
    for (auto i = slots.begin(); i != slots.end();)
        i = i->second ? std::next(i) : slots.erase(i);
}

} // namespace

void job_cache::retry_failures(uint64_t generation) {
    if (generation == generation_) return;
    generation_ = generation;
    erase_empty(contexts_);
    for (auto i = outputs_.begin(); i != outputs_.end();) {
        erase_empty(i->second.windows);
        i = i->second.memory ? std::next(i) : outputs_.erase(i);
    }
    for (auto & [domain, arena] : arenas_)
        arena->retry_failures();
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

size_t job_cache::turn_bytes(size_t bytes) const {
    for (const size_t kib : output_kib[int(spare())]) {
        if (bytes <= kib << 10) return kib << 10;
    }
    return bytes;
}

device_memory * job_cache::output(const job_shape & shape, int core, size_t turn, int domain) {
    const size_t bytes = shape.output_bytes(), stride = round_up(turn_bytes(bytes), block_align);
    const auto [at, is_new] = outputs_.try_emplace({stride, core, domain});
    output_block & block = at->second;
    if (is_new) {
        auto memory = npu_.allocate(n_output_turns * stride, domain);
        if (memory.ok()) {
            counters_.memories++;
            block.memory = std::move(memory.value());
        } else {
            log_warn("%s for the output of a job; such jobs run on the CPU", memory.status().message().c_str());
        }
    }
    if (!block.memory) return nullptr;
    const auto found = block.windows.find({bytes, turn});
    if (found != block.windows.end()) return found->second.get();
    auto & slot = block.windows[{bytes, turn}];
    auto window = npu_.view(*block.memory, turn * stride, bytes);
    if (!window.ok()) {
        log_warn("%s for the output of a job; such jobs run on the CPU", window.status().message().c_str());
        return nullptr;
    }
    counters_.memories++;
    slot = std::move(window.value());
    return slot.get();
}

staging_arena & job_cache::arena(int domain) {
    auto & slot = arenas_[domain];
    if (!slot) slot = std::make_unique<staging_arena>(npu_, counters_, domain, spare(), closed_);
    return *slot;
}

} // namespace rknpu
