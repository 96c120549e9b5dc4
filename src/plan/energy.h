// Energy above idle: modelled from a few published differences to idle (chip.cpp, [P]), good to a factor of two.
//
// Invariant: pure. What a board draws while idle is not in it: nobody can save that by a faster product.
#pragma once

#include "plan/chip.h"

namespace rknpu {

// Watts above idle; the default of a chip by power_of, every constant uncertain.
struct power {
    double npu_core_w;
    double dram_w_per_gb_s;
    double cpu_core_w;
};

constexpr power power_of(const chip & soc) {
    return {soc.npu_core_w, soc.dram_w_per_gb_s, soc.cpu_core_w};
}

// What was done: microseconds summed over cores, bytes that crossed the memory bus.
struct activity {
    double npu_core_us = 0;
    double dram_bytes = 0;
    double cpu_core_us = 0; // of big cores at full load
};

// Microjoules above idle.
constexpr double energy_uj(const power & watts, const activity & done) {
    return watts.npu_core_w * done.npu_core_us + watts.dram_w_per_gb_s * done.dram_bytes * 1e-3 +
           watts.cpu_core_w * done.cpu_core_us;
}

} // namespace rknpu
