// See pool.h.
#include "memory/pool.h"

#include "base/log.h"
#include "base/units.h"
#include "layout/layout.h"

#include <algorithm>

namespace rknpu {

bool domain_ledger::take(int domain, uint64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (used_[size_t(domain)] + bytes > domain_bytes_ || used_total_ + bytes > total_bytes_) return false;
    used_[size_t(domain)] += bytes;
    used_total_ += bytes;
    return true;
}

void domain_ledger::give_back(int domain, uint64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    used_[size_t(domain)] -= bytes;
    used_total_ -= bytes;
}

uint64_t domain_ledger::used(int domain) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return used_[size_t(domain)];
}

uint64_t domain_ledger::used() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return used_total_;
}

int domain_ledger::n_used() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return int(std::count_if(used_.begin(), used_.end(), [](uint64_t bytes) { return bytes > 0; }));
}

uint64_t domain_ledger::room(int domain) const {
    return domain_bytes_ - used(domain);
}

uint64_t domain_ledger::available() const {
    return total_bytes_ - used();
}

uint64_t domain_ledger::available(int domain) const {
    return std::min(room(domain), available());
}

weight_pool::weight_pool(device & npu, domain_ledger & ledger, size_t pool_bytes, int domain)
    : npu_(npu), ledger_(ledger), pool_bytes_(pool_bytes), domain_(domain) {}

weight_pool::~weight_pool() {
    for (const auto & allocation : allocations_)
        ledger_.give_back(domain_, allocation->bytes());
}

size_t weight_pool::bytes() const {
    size_t sum = 0;
    for (const auto & allocation : allocations_)
        sum += allocation->bytes();
    return sum;
}

void weight_pool::wrote(const weight_block & block) {
    if (std::find(dirty_.begin(), dirty_.end(), block.memory) == dirty_.end()) dirty_.push_back(block.memory);
}

status weight_pool::flush() {
    while (!dirty_.empty()) {
        if (auto s = npu_.sync(*dirty_.back(), sync_direction::to_device); !s.ok()) return s;
        dirty_.pop_back();
    }
    return {};
}

result<weight_block> weight_pool::reserve(size_t bytes, size_t expected_bytes) {
    bytes = round_up(bytes, block_align);
    if (allocations_.empty() || used_ + bytes > allocations_.back()->bytes()) {
        auto grown = grow(bytes, std::max(bytes, expected_bytes));
        if (!grown.ok()) return grown.status();
        used_ = 0;
    }
    const weight_block block{allocations_.back().get(), used_, bytes};
    used_ += bytes;
    return block;
}

void weight_pool::give_back(const mark & since) {
    while (allocations_.size() > since.n_allocations) {
        ledger_.give_back(domain_, allocations_.back()->bytes());
        allocations_.pop_back();
    }
    used_ = since.used;
}

// Asks for a whole pool, then for less and less: address space may be fragmented.
result<device_memory *> weight_pool::grow(size_t bytes, size_t expected_bytes) {
    size_t size = std::max(bytes, round_up(std::min(pool_bytes_, expected_bytes), block_align));
    size = std::max(bytes, std::min<size_t>(size, ledger_.available(domain_) / block_align * block_align));
    for (;;) {
        if (!ledger_.take(domain_, size)) {
            return status(errc::out_of_memory,
                          format_text("domain %d of the NPU is full (%.1f MiB left, %.1f MiB asked for)", domain_,
                                      in_mib(ledger_.available(domain_)), in_mib(size)));
        }
        auto memory = npu_.allocate(size, domain_);
        if (memory.ok()) {
            allocations_.push_back(std::move(memory.value()));
            return allocations_.back().get();
        }
        ledger_.give_back(domain_, size);
        if (size == bytes) return memory.status();
        size = std::max(bytes, round_up(size / 2, block_align));
    }
}

} // namespace rknpu
