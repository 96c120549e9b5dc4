// Contexts and staging memory, created once for each distinct shape and shared by every weight of that shape.
//
// Invariant: at most one context for a (shape, core, domain). What is bound has exactly the size of its matrix (a
// board owner saw wrong results otherwise: pty819/rk-llama.cpp fa-adaptive notes).
//
// Memory is allocated in few pieces, for each costs a file descriptor and there is a set of them in every domain in
// use. Outputs of about the same size share one for each core, with a window for each shape and turn: a core runs one
// job at a time, and its output is read before the turn comes round again. An allocation is synced as a whole, so
// sizes are kept close where there is one domain only. Used under the engine's lock.
#pragma once

#include "device/device.h"
#include "matmul/counters.h"
#include "matmul/staging-arena.h"
#include "memory/pool.h"

#include <atomic>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace rknpu {

// Outputs of consecutive jobs of one core take turns, so that the CPU reads one while the NPU writes the other.
constexpr size_t n_output_turns = 2;

class job_cache {
public:
    // ledger: tells how many domains there are to share the descriptors.
    job_cache(device & npu, counters & count, const domain_ledger & ledger)
        : npu_(npu), counters_(count), ledger_(ledger) {}

    // nullptr where the runtime cannot create it: logged once per shape, and not tried again before retry_failures.
    job_context * context(const job_shape & shape, int core, int domain);
    // Output staging of a turn, a window; nullptr as above.
    device_memory * output(const job_shape & shape, int core, size_t turn, int domain);
    // Where the activations of a domain's jobs are gathered.
    staging_arena & arena(int domain);

    // Forgets what could not be created: memory may have become free since. Once for each generation of the weights:
    // every user of the cache prepares its work anew for a new one, and only then.
    void retry_failures(uint64_t generation);
    // No more NPU memory or contexts from now on: the NPU is retired. From any thread.
    void close() { closed_ = true; }

private:
    struct output_block {
        std::unique_ptr<device_memory> memory;
        std::map<std::pair<size_t, size_t>, std::unique_ptr<device_memory>> windows; // by bytes and turn
    };

    size_t turn_bytes(size_t bytes) const;
    thrift spare() const { return thrift_of(ledger_.n_used()); }

    std::atomic<bool> closed_{false};
    uint64_t generation_ = 0; // of the last retry
    device & npu_;
    counters & counters_;
    const domain_ledger & ledger_;
    std::map<std::tuple<element, size_t, size_t, size_t, int, int>, std::unique_ptr<job_context>> contexts_;
    std::map<std::tuple<size_t, int, int>, output_block> outputs_; // by bytes of a turn, core, domain
    std::map<int, std::unique_ptr<staging_arena>> arenas_;         // by domain
};

} // namespace rknpu
