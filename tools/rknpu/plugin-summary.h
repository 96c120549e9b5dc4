// The plugin's summary (GGML_RKNPU_SUMMARY) read back by the tools.
//
// Invariant: a summary that is not there is no summary: the plugin computed nothing.
#pragma once

#include "base/status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

struct plugin_summary {
    std::string device;
    bool emulated = false, retired = false;
    uint64_t jobs = 0, graphs = 0, jobs_failed = 0, jobs_on_cpu = 0;
    std::vector<std::string> account; // its lines of what ran where: RETIRED, tensors, on the CPU, NPU jobs
};

// status: not_found.
result<plugin_summary> read_summary(const std::string & path);

} // namespace rknpu
