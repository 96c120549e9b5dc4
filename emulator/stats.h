// The counters behind rknn_emu_get_stats and the JSON file.
//
// Invariant: plain atomics, no lock on any path that a job takes; a live counter and its maximum are moved together by
// raise() and lower(). Time and energy are those of clock.h, which writes them here when they are read.
#pragma once

#include "rknn-emu.h"

#include <atomic>
#include <cstdint>

namespace rknn_emu {

struct counters {
    std::atomic<uint64_t> runs_of_core[RKNN_EMU_CORES]{};
    std::atomic<uint64_t> busy_ns_of_core[RKNN_EMU_CORES]{};
    std::atomic<uint64_t> bytes_of_domain[RKNN_EMU_DOMAINS]{};
    std::atomic<uint64_t> bytes_of_domain_max[RKNN_EMU_DOMAINS]{};
#define RKNN_EMU_FIELD(name, meaning) std::atomic<uint64_t> name{0};
    RKNN_EMU_COUNTERS(RKNN_EMU_FIELD)
#undef RKNN_EMU_FIELD
};

counters & stats();

void raise(std::atomic<uint64_t> & live, std::atomic<uint64_t> & max, uint64_t by = 1);
inline void lower(std::atomic<uint64_t> & live, uint64_t by = 1) {
    live -= by;
}

void copy_stats(rknn_emu_stats & out);
// True when RKNN_EMU_STATS names a file and it was written.
bool write_stats();

} // namespace rknn_emu
