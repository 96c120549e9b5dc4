// The table of settings and its reader; see settings.h. docs/emulator.md repeats the table for people.
#include "settings.h"

#include "log.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

#include <unistd.h>

namespace rknn_emu {

namespace {

bool read_number(const char * text, uint64_t max, uint64_t & value) {
    if (*text < '0' || *text > '9') return false;
    char * end = nullptr;
    value = std::strtoull(text, &end, 10);
    return *end == '\0' && value <= max;
}

template <class T> bool set_number(const char * text, T & target, uint64_t max, uint64_t unit = 1) {
    uint64_t value = 0;
    if (!read_number(text, max, value)) return false;
    target = T(value * unit);
    return true;
}

// A physical quantity: whole numbers of a small unit, at least `least` of them.
bool set_quantity(const char * text, double & target, double unit, uint64_t least = 0) {
    uint64_t value = 0;
    if (!read_number(text, 1 << 30, value) || value < least) return false;
    target = double(value) * unit;
    return true;
}

bool set_memory_speed(const char * text, rknpu::conditions & board) {
    if (!set_quantity(text, board.stream, 0.01, 1)) return false;
    board.stream_all = board.output = board.stream;
    return true;
}

bool set_switch(const char * text, bool & target) {
    return set_number(text, target, 1);
}

bool set_overflow(const char * text, i4_overflow & target) {
    const std::string word = text;
    if (word == "saturate-final")
        target = i4_overflow::saturate_final;
    else if (word == "saturate-running")
        target = i4_overflow::saturate_running;
    else if (word == "wrap")
        target = i4_overflow::wrap;
    else
        return false;
    return true;
}

bool set_helper(const char * text, bool & packed) {
    packed = std::strcmp(text, "packed") == 0;
    return packed || std::strcmp(text, "unpacked") == 0;
}

bool set_chip(const char * text, settings & s) {
    const auto found = rknpu::find_chip(text);
    if (!found.ok()) return false;
    s.chip = found.value();
    return true;
}

constexpr uint64_t mib = 1 << 20;
constexpr uint64_t mib_max = std::numeric_limits<uint64_t>::max() / mib;

struct row {
    const char * name;
    const char * default_value;
    const char * meaning; // what a valid value is
    bool (*apply)(const char * text, settings & s);
};

const row table[] = {
    {"RKNN_EMU_SOC", "rk3588", "chip to stand in for: rk3588 or rk3588s; no other is modelled", set_chip},
    {"RKNN_EMU_SHADOW", "1", "1: CPU and device see separate copies until rknn_mem_sync; 0: one copy, half the RAM",
     [](const char * t, settings & s) { return set_switch(t, s.shadow); }},
    {"RKNN_EMU_POPULATE", "0", "1: memory has its pages when it is allocated, as on a board; 0: when they are touched",
     [](const char * t, settings & s) { return set_switch(t, s.populate); }},
    {"RKNN_EMU_VIEW_SYNC", "0", "1: rknn_mem_sync of a view made from a file descriptor moves data; 0: it does nothing",
     [](const char * t, settings & s) { return set_switch(t, s.view_sync); }},
    {"RKNN_EMU_ARITHMETIC", "1", "0: jobs complete at once and C is zero, to measure host costs",
     [](const char * t, settings & s) { return set_switch(t, s.arithmetic); }},
    {"RKNN_EMU_COMPUTED_RUNS", "0", "with RKNN_EMU_ARITHMETIC=0: so many first jobs are computed, for a self-test",
     [](const char * t, settings & s) { return set_number(t, s.computed_runs, 1 << 30); }},
    {"RKNN_EMU_THREADS", "0", "CPU threads that multiply, all cores together, up to 1024; 0: one per CPU",
     [](const char * t, settings & s) { return set_number(t, s.threads, 1024); }},
    {"RKNN_EMU_MEMORY_MIB", "16384", "memory of the board in MiB, all domains together; 0: no limit",
     [](const char * t, settings & s) { return set_number(t, s.memory_bytes, mib_max, mib); }},
    {"RKNN_EMU_DOMAIN_MIB", "4096", "address space of one IOMMU domain in MiB",
     [](const char * t, settings & s) { return set_number(t, s.domain_bytes, mib_max, mib); }},
    {"RKNN_EMU_FDS", "0", "file descriptors that contexts and memory may hold; 0: only the process limit (ulimit -n)",
     [](const char * t, settings & s) { return set_number(t, s.fds_max, 1 << 30); }},
    {"RKNN_EMU_CONTEXT_FDS", "0", "file descriptors that one context holds, up to 64",
     [](const char * t, settings & s) { return set_number(t, s.context_fds, 64); }},
    {"RKNN_EMU_VIEW_FDS", "0", "file descriptors that one view holds, up to 4",
     [](const char * t, settings & s) { return set_number(t, s.view_fds, 4); }},
    {"RKNN_EMU_CONTEXT_KIB", "400", "device memory that one context takes for itself, in KiB",
     [](const char * t, settings & s) { return set_number(t, s.context_bytes, 1 << 30, 1024); }},
    {"RKNN_EMU_I4_OVERFLOW", "saturate-final", "int16 results of i4: saturate-final, saturate-running or wrap",
     [](const char * t, settings & s) { return set_overflow(t, s.overflow); }},
    {"RKNN_EMU_I4_NORM_B", "0", "1: i4 contexts accept B in NORM layout",
     [](const char * t, settings & s) { return set_switch(t, s.i4_norm_b); }},
    {"RKNN_EMU_I4_HELPER", "unpacked", "i4 input of the B conversion helper: unpacked (one code a byte) or packed",
     [](const char * t, settings & s) { return set_helper(t, s.i4_helper_packed); }},
    {"RKNN_EMU_QUERY", "1", "0: rknn_query refuses matmul contexts (-7)",
     [](const char * t, settings & s) { return set_switch(t, s.query); }},
    {"RKNN_EMU_FAULTS", "",
     "faults to inject: seed=<n> and, with commas, <fault>=<probability>, <fault>@<n> or "
     "<fault>@<n>+; faults: create alloc bind sync run-error run-timeout hang wrong",
     [](const char * t, settings & s) { return s.faults.parse(t); }},
    {"RKNN_EMU_NPU_MHZ", "1000", "virtual clock: NPU clock in MHz, at least 1",
     [](const char * t, settings & s) { return set_quantity(t, s.board.npu_ghz, 1e-3, 1); }},
    {"RKNN_EMU_MEMORY_SPEED", "100", "virtual clock: DRAM speed in percent of a pinned LPDDR5-4800 board, at least 1",
     [](const char * t, settings & s) { return set_memory_speed(t, s.board); }},
    {"RKNN_EMU_SWITCH_US", "100", "virtual clock: microseconds of a switch to another domain",
     [](const char * t, settings & s) { return set_quantity(t, s.switch_us, 1); }},
    {"RKNN_EMU_CALL_NS", "1200",
     "virtual clock: nanoseconds of rknn_matmul_set_io_mem, and of rknn_mem_sync beside its bytes",
     [](const char * t, settings & s) { return set_quantity(t, s.call_us, 1e-3); }},
    {"RKNN_EMU_SYNC_MB_S", "20000", "virtual clock: MB/s of rknn_mem_sync, at least 1",
     [](const char * t, settings & s) { return set_quantity(t, s.sync_gb_s, 1e-3, 1); }},
    {"RKNN_EMU_CORE_MW", "700", "energy: milliwatts of one NPU core that runs a job",
     [](const char * t, settings & s) { return set_quantity(t, s.watts.npu_core_w, 1e-3); }},
    {"RKNN_EMU_DRAM_MW", "40", "energy: milliwatts per GB/s of DRAM traffic",
     [](const char * t, settings & s) { return set_quantity(t, s.watts.dram_w_per_gb_s, 1e-3); }},
    {"RKNN_EMU_NPU", "/tmp/rknn-emulator-npu", "file that stands for the one NPU of the machine (panic detector)",
     [](const char * t, settings & s) {
         s.npu_file = t;
         return *t != '\0';
     }},
    {"RKNN_EMU_STATS", "", "file for the counters as JSON, written at exit; %p becomes the process id",
     [](const char * t, settings & s) {
         s.stats_file = t;
         return true;
     }},
    {"RKNN_EMU_LOG", "1", "0: panics and wrong settings only; 1: refusals and faults too; 2: contexts and memory too",
     [](const char * t, settings & s) { return set_number(t, s.log_level, 2); }},
};

void warn_unknown_names() {
    for (char ** entry = environ; entry && *entry; entry++) {
        if (std::strncmp(*entry, "RKNN_EMU_", 9) != 0) continue;
        const std::string name(*entry, std::strcspn(*entry, "="));
        bool known = false;
        for (const row & r : table)
            known = known || name == r.name;
        if (!known) log_always("unknown setting %s is ignored; docs/emulator.md lists the known ones", name.c_str());
    }
}

settings * read_settings() {
    auto * s = new settings; // lives until the process ends: hung jobs may still read it during exit
    for (const row & r : table) {
        const char * text = std::getenv(r.name);
        if (text && r.apply(text, *s)) continue;
        r.apply(r.default_value, *s);
        if (!text) continue;
        s->problem +=
            std::string(s->problem.empty() ? "" : "; ") + r.name + "='" + text + "' is not valid (" + r.meaning + ")";
    }
    if (s->threads == 0) s->threads = int(std::thread::hardware_concurrency());
    if (s->threads < 1) s->threads = 1;
    warn_unknown_names();
    if (!s->problem.empty()) log_always("%s: no context can be created", s->problem.c_str());
    return s;
}

} // namespace

const settings & config() {
    static const settings * const s = read_settings();
    return *s;
}

} // namespace rknn_emu
