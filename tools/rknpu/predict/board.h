// The boards that rknpu predict knows: what the memory and the CPU beside the chip are.
//
// Invariant: a table; what is the same on all boards of a chip is in the chip table.
#pragma once

#include "base/status.h"
#include "plan/chip.h"

#include <string>
#include <vector>

namespace rknpu {

struct board {
    const char * name; // for the command line
    const char * title;
    const char * chip_name;
    int ram_gib;
    double dram_gb_s; // theoretical: transfers per second times 8 bytes
    double cpu_ghz;   // of the big cores
    const char * source;
};

const std::vector<board> & known_boards();
// status: invalid_argument, with the names and the nearest of them.
result<const board *> find_board(const std::string & name);

// What of the memory's bandwidth that the chip table was measured with this board has, 1 at most: on faster memory the
// NPU's own limit stays.
double memory_factor(const board & b);

} // namespace rknpu
