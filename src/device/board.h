// What board is this: the device tree's word for the chip, its memory, and why a device node cannot be opened.
//
// Invariant: reads files below a given root only (tests plant one); changes nothing.
#pragma once

#include "base/status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

// The chip's device-tree name without the vendor ("rk3588"), from <root>/proc/device-tree/compatible; empty where there
// is no device tree or no Rockchip chip in it.
std::string detect_chip(const std::string & root = "");

// One line on why the runtime may have failed to open the NPU: no driver node, or one without permission, with the
// cure.
status explain_open_failure(const std::string & root = "");

// Where a vendor runtime is usually installed, in the order to try.
std::vector<std::string> runtime_candidates(const std::string & root = "");

// Memory of the whole machine, and what of it can be had without swapping (page cache counts); zeros where
// <root>/proc/meminfo cannot be read.
struct memory_bytes {
    uint64_t total = 0, available = 0;
};
memory_bytes machine_memory(const std::string & root = "");

} // namespace rknpu
