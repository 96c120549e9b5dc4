// What a machine did while something ran on it: power, clocks, heat and the NPU's load over time, and what that comes
// to in a stretch of it.
//
// Invariant: pure, but for read_npu_load. Throttling is what the kernel did, not what a temperature suggests: a clock
// below what it was allowed, or held at, before.
#pragma once

#include "bench/series.h"
#include "doctor/clocks.h"

#include <optional>
#include <string>
#include <vector>

namespace rknpu {

struct recorded_clock {
    doctor::clock_domain at_start;
    series now, allowed; // Hz
};

struct recording {
    std::vector<series> rails; // W, in the order of the meter's; of a command the only one
    std::vector<recorded_clock> clocks;
    series celsius;  // of the hottest zone
    series npu_load; // per cent, mean of the cores
};

struct clock_range {
    std::string name;
    double smallest, largest; // Hz
    uint64_t hardware;
    bool throttled;
};

// One stretch.
struct machine_state {
    std::vector<std::optional<double>> rail_w; // mean
    std::vector<clock_range> clocks;
    std::optional<double> celsius, npu_load; // largest; mean
    bool throttled = false;
};

machine_state state_in(const recording & all, const stretch & part);

// The rail that feeds the others: what is behind it cannot draw more. -1: no rail gave enough samples.
int widest_rail(const recording & all, const stretch & part);

// Per cent, mean of the cores; nothing where the driver's debugfs cannot be read (by others than root it cannot).
std::optional<double> read_npu_load(const doctor::tree & files);

} // namespace rknpu
