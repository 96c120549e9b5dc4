// Contexts and staging memory, created once for each distinct shape and shared by every weight of that shape.
//
// Invariant: at most one context for a (shape, core, domain) and one activation staging for a (element, M, K, domain,
// index). What is bound has exactly the size of its matrix (a board owner saw wrong results otherwise:
// pty819/rk-llama.cpp fa-adaptive notes). A core runs one job at a time and its output is read before the turn comes
// round again, so outputs of about the same size share one allocation, each with its own window: an allocation costs a
// file descriptor, and is synced as a whole. Used under the engine's lock.
#pragma once

#include "device/device.h"
#include "matmul/counters.h"
#include "matmul/staging-arena.h"

#include <atomic>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

namespace rknpu {

// Outputs of consecutive jobs of one core take turns, so that the CPU reads one while the NPU writes the other.
constexpr size_t n_output_turns = 2;

// Native activation cells of one job: NPU memory, or plain memory where the NPU has none to give (the job then runs on
// the CPU).
struct activation_staging {
    std::unique_ptr<device_memory> memory;
    std::vector<uint8_t> plain;
    uint8_t * data() { return memory ? memory->data() : plain.data(); }
};

class job_cache {
public:
    job_cache(device & npu, counters & count) : npu_(npu), counters_(count) {}

    // nullptr where the runtime cannot create it: logged once per shape, and not tried again before retry_failures.
    job_context * context(const job_shape & shape, int core, int domain);
    // Output staging of a turn, a window; nullptr as above.
    device_memory * output(const job_shape & shape, int core, size_t turn, int domain);
    // Never fails. index tells apart activations of the same shape that are needed at the same time.
    activation_staging * activation(element type, size_t M, size_t K, int domain, size_t index);

    // Where the activations of experts are gathered.
    staging_arena & arena(int domain);

    // Forgets what could not be created: memory may have become free since. Once for each generation of the weights:
    // every user of the cache prepares its work anew for a new one, and only then.
    void retry_failures(uint64_t generation);
    // No more NPU memory or contexts from now on: the NPU is retired. From any thread.
    void close() { closed_ = true; }

private:
    device_memory * output_memory(size_t bytes, int core, size_t turn, int domain);

    std::atomic<bool> closed_{false};
    uint64_t generation_ = 0; // of the last retry
    device & npu_;
    counters & counters_;
    std::map<std::tuple<element, size_t, size_t, size_t, int, int>, std::unique_ptr<job_context>> contexts_;
    using output_key = std::tuple<size_t, int, size_t, int>; // bytes, core, turn, domain
    std::map<output_key, std::unique_ptr<device_memory>> output_memories_;
    std::map<output_key, std::unique_ptr<device_memory>> outputs_; // windows into them
    std::map<int, std::unique_ptr<staging_arena>> arenas_;         // by domain
    std::map<std::tuple<element, size_t, size_t, int, size_t>, std::unique_ptr<activation_staging>> activations_;
};

} // namespace rknpu
