// What the doctor looks at: a machine as plain facts, read below a root (files) and probed live (programs, the NPU).
//
// Invariant: reading changes nothing and never fails: what is not there stays empty, and a rule says what that means.
#pragma once

#include "base/settings.h"
#include "doctor/clocks.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu::doctor {

// A file that this user must be able to open.
struct access_point {
    std::string path; // below the root
    bool allowed = false;
    std::string group; // that may use it: a name, or a number where the machine knows none
};

struct runtime_file {
    std::string path;
    std::string version;      // "2.3.2"; empty: the file does not say
    std::string architecture; // "aarch64", "arm", "x86_64", "" for no ELF file
    bool emulator = false;
};

struct npu_user {
    int pid;
    std::string name;
};

// An interrupt of the NPU and the CPUs that may serve it.
struct interrupt_line {
    int number;
    std::vector<int> cpus;
};

// What stock llama.cpp makes of the plugin.
struct llama_facts {
    bool probed = false;
    std::string program;              // "" where there is none
    std::string library;              // the libggml.so that it loads; "" for a static build
    std::string ggml_version;         // "0.25.1"
    std::string plugin;               // "" where there is none
    bool reads_path = false;          // built with GGML_BACKEND_DL: reads GGML_BACKEND_PATH at start
    bool loads = false;               // the plugin was loaded by that library
    std::string answer;               // the library's own words where it was not
    int plugin_api = 0, host_api = 0; // both known only where they differ
};

struct format_check {
    std::string name;   // "w8a8"
    double error = 0;   // relative, root mean square, against f32 on the CPU
    double allowed = 0; // what the format's resolution explains
    bool on_npu = true; // no job fell back to the CPU
    bool agrees = true; // every accumulator is the CPU's
};

struct self_test_facts {
    bool probed = false;
    bool emulated = false;
    std::string device;         // description, where one opened
    std::string failure;        // empty: opened, and its own self-test passed;
    bool nothing_there = false; // no board, and no runtime asked for
    std::vector<format_check> formats;
};

struct machine {
    std::string root;         // "" for this machine
    std::string board;        // /proc/device-tree/model
    std::string chip;         // detect_chip()
    std::string architecture; // of this program
    std::string kernel;
    std::string driver_version; // vendor driver; empty: not loaded or not readable
    bool driver_loaded = false; // the vendor driver shows itself somewhere
    bool rocket = false;        // mainline driver
    bool npu_disabled = false;  // device tree
    std::vector<access_point> nodes, heaps;
    std::vector<runtime_file> runtimes; // in the order of the search
    bool runtime_named = false;         // GGML_RKNPU_RUNTIME names it
    std::vector<clock_domain> cpu_clocks;
    clock_domain npu_clock, ddr_clock; // name empty: not there
    std::vector<int> cpus_present, cpus_online, cpus_allowed;
    std::vector<interrupt_line> npu_interrupts;
    std::vector<zone> zones;
    uint64_t memory_total = 0, memory_available = 0, swap_total = 0, swap_free = 0; // bytes
    uint64_t fd_soft = 0, fd_hard = 0;                                              // UINT64_MAX: unlimited
    std::vector<npu_user> npu_users;
    access_point lock; // path empty: off, or not made yet
    settings wishes;
    std::vector<std::string> complaints; // of the settings
    llama_facts llama;
    self_test_facts test;
    std::string emulator; // the built one; empty: none found

    bool on_board() const { return !chip.empty(); }
    bool supported() const;            // the chip table has it
    std::vector<int> big_cpus() const; // of the fastest clocks; empty where all are equal or unknown
};

// environment: as getenv's environ.
machine read_machine(const std::string & root, const char * const * environment);

// The parts that need programs and the NPU of this machine.
llama_facts probe_llama(const std::string & llama_bin, const std::string & plugin);
self_test_facts probe_npu(const settings & wishes);

std::vector<int> version_numbers(const std::string & text); // the first "a.b[.c]" in a text; empty: none

} // namespace rknpu::doctor
