// NPU memory for weights: a few large allocations, weights at offsets in them.
//
// Invariant: a block lies inside one allocation and so in one IOMMU domain; the ledger never counts more bytes than a
// domain holds. One allocation costs a file descriptor, whatever number of weights lie in it.
#pragma once

#include "device/device.h"
#include "plan/chip.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace rknpu {

// How many bytes of each domain are taken, for the whole device. Thread-safe.
class domain_ledger {
public:
    // total_bytes: limit of all domains together.
    domain_ledger(int n_domains, uint64_t domain_bytes, uint64_t total_bytes = UINT64_MAX)
        : used_(size_t(n_domains), 0), domain_bytes_(domain_bytes), total_bytes_(total_bytes) {}
    // Takes bytes of a domain, or refuses.
    bool take(int domain, uint64_t bytes);
    void give_back(int domain, uint64_t bytes);
    int n_domains() const { return int(used_.size()); }
    uint64_t used(int domain) const;
    uint64_t used() const;           // of all
    int n_used() const;              // domains of which something is taken
    uint64_t room(int domain) const; // of its address space, whatever the total
    uint64_t available() const;      // of the total
    uint64_t available(int domain) const;

private:
    mutable std::mutex mutex_;
    std::vector<uint64_t> used_;
    uint64_t domain_bytes_, total_bytes_, used_total_ = 0;
};

// A stretch of a pool.
struct weight_block {
    device_memory * memory; // the whole allocation
    size_t offset, bytes;
    uint8_t * data() const { return memory->data() + offset; }
};

// The weights of one model buffer in one domain. A loaded block is never freed alone: the pool goes with its buffer.
class weight_pool {
public:
    // pool_bytes: size of one allocation; domain: where they go (weight-placer.h).
    weight_pool(device & npu, domain_ledger & ledger, size_t pool_bytes, int domain);
    ~weight_pool();
    weight_pool(const weight_pool &) = delete;

    // expected_bytes: what this and the later calls will ask for, so that a small model gets a small allocation.
    // status: out_of_memory (the domain is full, or the runtime has no more).
    result<weight_block> reserve(size_t bytes, size_t expected_bytes);

    // Undoes what was reserved since `here` was called: nothing may look into it any more, and nothing was written.
    struct mark {
        size_t n_allocations, used;
    };
    mark here() const { return {allocations_.size(), used_}; }
    void give_back(const mark & since);

    // Marks a block as written by the CPU; flush makes such allocations visible to the NPU, each once. status: of the
    // sync.
    void wrote(const weight_block & block);
    bool flushed() const { return dirty_.empty(); }
    status flush();

    size_t bytes() const;

private:
    result<device_memory *> grow(size_t bytes, size_t expected_bytes);

    device & npu_;
    domain_ledger & ledger_;
    size_t pool_bytes_;
    int domain_;
    std::vector<std::unique_ptr<device_memory>> allocations_;
    std::vector<device_memory *> dirty_;
    size_t used_ = 0; // of the last allocation
};

} // namespace rknpu
