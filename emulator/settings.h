// Every RKNN_EMU_* setting: one table, read from the environment once, when the library is first used.
//
// Invariant: a setting exists only as a row of the table in settings.cpp. A wrong value or an unsupported chip is told
// in one line and then no context can be created: a typo must not silently test something else.
#pragma once

#include "faults.h"
#include "plan/cost.h"
#include "plan/energy.h"

#include <cstdint>
#include <string>

namespace rknn_emu {

enum class i4_overflow { saturate_final, saturate_running, wrap };

struct settings {
    const rknpu::chip * chip = nullptr;
    bool shadow = true;
    bool populate = false;
    bool arithmetic = true;
    uint64_t computed_runs = 0; // the first runs, which are computed although arithmetic is off
    int threads = 0;
    uint64_t memory_bytes = 0; // 0: no limit
    uint64_t domain_bytes = 0;
    uint64_t fds_max = 0; // 0: only the limit of the operating system
    int context_fds = 0;
    int view_fds = 0;
    uint64_t context_bytes = 0;
    i4_overflow overflow = i4_overflow::saturate_final;
    bool view_sync = false;
    bool i4_norm_b = false;
    bool i4_helper_packed = false;
    bool query = true;
    fault_rules faults;
    rknpu::conditions board; // what the virtual clock assumes
    double switch_us = 0;
    double call_us = 0;
    double sync_gb_s = 0;
    rknpu::power watts{};
    std::string npu_file;
    std::string stats_file;
    int log_level = 1;

    std::string problem; // empty, or why no context can be created
};

const settings & config();

} // namespace rknn_emu
