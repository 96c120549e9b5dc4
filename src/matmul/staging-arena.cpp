// See staging-arena.h.
#include "matmul/staging-arena.h"

#include "base/log.h"

namespace rknpu {

void staging_arena::clear() {
    for (block & b : blocks_)
        b.used = 0;
    at_ = 1;
}

void staging_arena::clear_for_routing() {
    clear();
    for (block & b : blocks_) {
        if (b.slots.size() <= windows_max) continue;
        for (auto i = b.slots.begin(); i != b.slots.end();)
            i = i->second.routed ? b.slots.erase(i) : std::next(i);
    }
}

size_t staging_arena::n_windows() const {
    size_t n = 0;
    for (const block & b : blocks_)
        n += b.slots.size();
    return n;
}

const staging_slot * staging_arena::take(size_t bytes, size_t pitch, bool small, bool at_once) {
    if (small && blocks_[0].used + pitch <= block_kib_[0] << 10) return place(blocks_[0], bytes, pitch, !at_once);
    const size_t end = at_once ? n_blocks : n_blocks - 1;
    while (at_ < end && blocks_[at_].used + pitch > block_kib_[at_] << 10)
        at_++;
    return at_ < end ? place(blocks_[at_], bytes, pitch, !at_once) : nullptr;
}

const staging_slot * staging_arena::place(block & b, size_t bytes, size_t pitch, bool routed) {
    if (!b.memory && b.plain.empty()) allocate(b, block_kib_[&b - blocks_] << 10);
    const size_t offset = b.used;
    b.used += pitch;
    const auto [at, is_new] = b.slots.try_emplace({offset, bytes});
    staging_slot & slot = at->second;
    slot.routed = routed && (is_new || slot.routed);
    if (!is_new) return &slot;
    slot.data = (b.memory ? b.memory->data() : b.plain.data()) + offset;
    if (!b.memory || closed_) return &slot;
    auto window = npu_.view(*b.memory, offset, bytes);
    if (window.ok()) {
        counters_.memories++;
        slot.window = std::move(window.value());
    } else {
        log_warn("%s for an activation; its jobs run on the CPU", window.status().message().c_str());
    }
    return &slot;
}

void staging_arena::allocate(block & b, size_t bytes) {
    if (!closed_) {
        auto memory = npu_.allocate(bytes, domain_);
        if (memory.ok()) {
            counters_.memories++;
            b.memory = std::move(memory.value());
            return;
        }
        log_warn("%s for activations; their jobs run on the CPU", memory.status().message().c_str());
    }
    b.plain.resize(bytes);
}

unsigned staging_arena::blocks_in_use() const {
    unsigned bits = 0;
    for (size_t i = 0; i < n_blocks; i++)
        bits |= unsigned(blocks_[i].used > 0) << i;
    return bits;
}

status staging_arena::sync(unsigned blocks) {
    for (size_t i = 0; blocks >> i != 0; i++) {
        if (!(blocks >> i & 1) || !blocks_[i].memory) continue;
        counters_.activation_bytes += blocks_[i].memory->bytes();
        if (auto s = npu_.sync(*blocks_[i].memory, sync_direction::to_device); !s.ok()) return s;
    }
    return {};
}

void staging_arena::retry_failures() {
    for (block & b : blocks_) {
        for (auto i = b.slots.begin(); i != b.slots.end();)
            i = i->second.window ? std::next(i) : b.slots.erase(i);
        b.plain = std::vector<uint8_t>(); // "= {}" would keep its memory
    }
}

} // namespace rknpu
