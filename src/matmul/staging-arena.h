// Memory in which the activations of one domain's jobs are gathered: a few allocations, a window for each job.
//
// Invariant: a slot has exactly the bytes that were asked for and lies at the same place whenever the same slots are
// taken in the same order; windows are kept, so that what was seen before costs no runtime object. Never more than
// n_blocks allocations: each costs a file descriptor, and is synced as a whole. Used under the engine's lock.
#pragma once

#include "device/device.h"
#include "matmul/counters.h"

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace rknpu {

// How few allocations staging makes do with, for each domain in use has its own: of which more is synced in vain then.
// At 16 a domain at most with four of them, weights included (five with few shapes), there are no more than 64
// descriptors.
enum class thrift { none, some, much };
constexpr thrift thrift_of(int n_domains) {
    return n_domains < 2 ? thrift::none : n_domains < 4 ? thrift::some : thrift::much;
}

// Native activation cells of one job: a window, or plain memory where the NPU has none to give (the job then runs on
// the CPU).
struct staging_slot {
    std::unique_ptr<device_memory> window;
    uint8_t * data;
    bool routed; // taken by none but the routing of experts, which takes its slots anew each time
};

class staging_arena {
public:
    // closed: set when no more NPU memory may be asked for.
    staging_arena(device & npu, counters & count, int domain, thrift spare, const std::atomic<bool> & closed)
        : npu_(npu), counters_(count), domain_(domain), block_kib_(block_kib[spare != thrift::none]), closed_(closed) {}

    // All slots are free again.
    void clear();
    // The same before experts are routed anew. Routings seldom repeat, so of a block with many windows those that were
    // routed are dropped: nobody else refers to them.
    void clear_for_routing();
    // The next slot, `bytes` long, with the next one at least `pitch` behind it; small ones have a place of their own
    // as long as there is room. nullptr: full. A slot of up to 2 MiB always finds room in a cleared arena. The last and
    // largest block is for those who cannot do with less and keep their slots (at_once); others are routed.
    const staging_slot * take(size_t bytes, size_t pitch, bool small, bool at_once = false);
    // The blocks that hold slots now, one bit each, for sync.
    unsigned blocks_in_use() const;
    // Makes these blocks visible to the NPU.
    status sync(unsigned blocks);
    size_t n_windows() const;
    // Forgets memory that could not be had.
    void retry_failures();

private:
    // The first is for small slots: decoding syncs no more than these.
    static constexpr size_t n_blocks = 8;
    static constexpr size_t windows_max = 512; // of a block, when experts are routed
    // Of many domains each has fewer blocks: one for the rows of a batch of 512, one for twice as much (experts of few
    // columns, rows of f16), and one for what experts of many columns read.
    static constexpr size_t block_kib[2][n_blocks] = {{64, 512, 1024, 2048, 4096, 8192, 16384, 98304},
                                                      {64, 2048, 4608, 20480, 0, 0, 0, 98304}};

    struct block {
        std::unique_ptr<device_memory> memory;
        std::vector<uint8_t> plain; // instead
        size_t used = 0;
        std::map<std::pair<size_t, size_t>, staging_slot> slots; // by offset and bytes; windows die before the memory
    };

    const staging_slot * place(block & b, size_t bytes, size_t pitch, bool routed);
    void allocate(block & b, size_t bytes);

    device & npu_;
    counters & counters_;
    int domain_;
    const size_t * block_kib_;
    const std::atomic<bool> & closed_;
    block blocks_[n_blocks];
    size_t at_ = 1; // the block that large slots come from
};

} // namespace rknpu
