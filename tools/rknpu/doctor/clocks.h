// Clocks and temperatures of a machine, read below a root: the doctor looks once, rknpu bench again and again.
//
// Invariant: as of tree.h, what is not there stays empty; a reading opens a handful of small files and nothing else.
#pragma once

#include "doctor/tree.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu::doctor {

// The names that cpufreq and devfreq give to the files of a clock, and how many Hz their numbers count in.
struct clock_files {
    const char *governor, *now, *allowed;
    uint64_t unit;
};
constexpr clock_files cpufreq_files = {"scaling_governor", "scaling_cur_freq", "scaling_max_freq", 1000};
constexpr clock_files devfreq_files = {"governor", "cur_freq", "max_freq", 1};

// One clock that a governor moves. Frequencies in Hz; 0: not known.
struct clock_domain {
    std::string name;   // "cpufreq policy4", "fdab0000.npu", "dmc"
    std::string folder; // where its files are, below the root
    clock_files files = devfreq_files;
    std::string governor;  // the word in its governor file
    uint64_t now = 0;      // current clock
    uint64_t allowed = 0;  // the highest that the governor may choose; cooling lowers it
    uint64_t hardware = 0; // the highest that the machine knows
    std::vector<int> cpus; // of a CPU clock
};

struct zone {
    std::string name;
    double celsius;
};

std::vector<clock_domain> read_cpu_clocks(const tree & files);
clock_domain read_npu_clock(const tree & files); // name empty: there is none
clock_domain read_ddr_clock(const tree & files); // the same
// Reads what changes, again.
void read_again(const tree & files, clock_domain & c);
std::vector<zone> read_zones(const tree & files);

// At 75 to 81 C 15 % of the speed were gone on an Orange Pi 5 (pty819/rk-llama.cpp).
constexpr double warm_celsius = 75;

// Firmware rounds clocks: a tenth of a per cent off is the same clock.
bool reaches(uint64_t clock, uint64_t wanted);
// Nobody but heat or firmware lowers it.
bool is_held(const clock_domain & c);

// The clusters of the fastest CPUs; empty where all are equal or unknown.
std::vector<int> fastest_cpus(const std::vector<clock_domain> & cpu_clocks);

std::vector<int> parse_cpu_list(const std::string & text); // "0-3,6"
std::string cpu_list(const std::vector<int> & cpus);       // back again

} // namespace rknpu::doctor
