// Copying the counters out and writing them as JSON; see stats.h.
#include "stats.h"

#include "clock.h"
#include "log.h"
#include "settings.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include <unistd.h>

namespace rknn_emu {

counters & stats() {
    static counters * const all = new counters; // never destroyed: jobs may run until the process is gone
    return *all;
}

void raise(std::atomic<uint64_t> & live, std::atomic<uint64_t> & max, uint64_t by) {
    const uint64_t now = live += by;
    uint64_t seen = max.load();
    while (seen < now && !max.compare_exchange_weak(seen, now)) {
    }
}

void copy_stats(rknn_emu_stats & out) {
    counters & s = stats();
    read_clock(s);
    for (int i = 0; i < RKNN_EMU_CORES; i++) {
        out.runs_of_core[i] = s.runs_of_core[i];
        out.busy_ns_of_core[i] = s.busy_ns_of_core[i];
    }
    for (int i = 0; i < RKNN_EMU_DOMAINS; i++) {
        out.bytes_of_domain[i] = s.bytes_of_domain[i];
        out.bytes_of_domain_max[i] = s.bytes_of_domain_max[i];
    }
#define RKNN_EMU_FIELD(name, meaning) out.name = s.name;
    RKNN_EMU_COUNTERS(RKNN_EMU_FIELD)
#undef RKNN_EMU_FIELD
}

namespace {

std::string json_list(const char * name, const uint64_t * values, int count) {
    std::string text = std::string("  \"") + name + "\": [";
    for (int i = 0; i < count; i++)
        text += (i ? ", " : "") + std::to_string(values[i]);
    return text + "],\n";
}

std::string to_json(const rknn_emu_stats & s) {
    std::string text = "{\n  \"emulated\": true,\n  \"version\": \"" RKNN_EMU_VERSION "\",\n";
    text += "  \"process\": " + std::to_string(getpid()) + ",\n";
    text += json_list("runs_of_core", s.runs_of_core, RKNN_EMU_CORES);
    text += json_list("busy_ns_of_core", s.busy_ns_of_core, RKNN_EMU_CORES);
    text += json_list("bytes_of_domain", s.bytes_of_domain, RKNN_EMU_DOMAINS);
    text += json_list("bytes_of_domain_max", s.bytes_of_domain_max, RKNN_EMU_DOMAINS);
#define RKNN_EMU_FIELD(name, meaning) text += "  \"" #name "\": " + std::to_string(s.name) + ",\n";
    RKNN_EMU_COUNTERS(RKNN_EMU_FIELD)
#undef RKNN_EMU_FIELD
    text.erase(text.size() - 2);
    return text + "\n}\n";
}

const pid_t loading_process = getpid();

// A fork that never ran exec ends here too; its counters are a copy of ours and must not overwrite the file.
__attribute__((destructor)) void write_stats_at_exit() {
    if (getpid() == loading_process) write_stats();
}

} // namespace

bool write_stats() {
    std::string path = config().stats_file;
    if (path.empty()) return false;
    const size_t mark = path.find("%p");
    if (mark != std::string::npos) path.replace(mark, 2, std::to_string(getpid()));
    rknn_emu_stats copy{};
    copy_stats(copy);
    const std::string text = to_json(copy);
    std::FILE * file = std::fopen(path.c_str(), "we");
    const bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    const bool closed = file && std::fclose(file) == 0;
    if (!written || !closed) log_error("cannot write the counters to %s: %s", path.c_str(), std::strerror(errno));
    return written && closed;
}

} // namespace rknn_emu
