// Contexts and staging memory, created once for each distinct shape and shared by every weight of that shape.
//
// Invariant: at most one context for a (shape, core, domain), one output staging for a (element, M, N, core, domain,
// turn) and one activation staging for a (element, M, K, domain, index). A staging has exactly the size of the matrices
// bound to it and always the same number of rows (a board owner saw wrong results otherwise: pty819/rk-llama.cpp
// fa-adaptive notes). A core runs one job at a time and its output is read before the turn comes round again, so
// contexts of one output shape share the staging: each costs a file descriptor. Used under the engine's lock.
#pragma once

#include "device/device.h"
#include "matmul/counters.h"

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
    // Output staging of a turn; nullptr as above.
    device_memory * output(const job_shape & shape, int core, size_t turn, int domain);
    // Never fails. index tells apart activations of the same shape that are needed at the same time.
    activation_staging * activation(element type, size_t M, size_t K, int domain, size_t index);

    // Forgets what could not be created: memory may have become free since. Once for each generation of the weights:
    // every user of the cache prepares its work anew for a new one, and only then.
    void retry_failures(uint64_t generation);
    // No more NPU memory or contexts from now on: the NPU is retired. From any thread.
    void close() { closed_ = true; }

private:
    std::atomic<bool> closed_{false};
    uint64_t generation_ = 0; // of the last retry
    device & npu_;
    counters & counters_;
    std::map<std::tuple<element, size_t, size_t, size_t, int, int>, std::unique_ptr<job_context>> contexts_;
    std::map<std::tuple<element, size_t, size_t, int, int, size_t>, std::unique_ptr<device_memory>> outputs_;
    std::map<std::tuple<element, size_t, size_t, int, size_t>, std::unique_ptr<activation_staging>> activations_;
};

} // namespace rknpu
