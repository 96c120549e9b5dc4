// The emulator's account of the NPU's work, for one token.
//
// Invariant: the difference of two runs that differ in repetitions only, so that loading, the self-test and warming up
// drop out. Nothing here is a measurement of hardware, and the CPU's work of a token is not in it.
#pragma once

#include "base/status.h"
#include "files.h"

#include <optional>

namespace rknpu {

struct virtual_work {
    double jobs = 0, macs = 0, weight_bytes = 0;
    // By the emulator's virtual clock; nothing where it has none.
    std::optional<double> npu_us;  // while at least one core or call of the runtime is at work
    std::optional<double> core_us; // summed over cores
    std::optional<double> joules;  // above idle, of cores and memory
};

// fewer, more: what RKNN_EMU_STATS wrote; tokens: how many more the second run computed. status: device_failed where a
// counter is missing or does not rise.
result<virtual_work> work_of_a_token(const json & fewer, const json & more, double tokens);

} // namespace rknpu
