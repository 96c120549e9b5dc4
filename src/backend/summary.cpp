// The summary: what the NPU did, in a few lines for a human.
#include "backend/plugin.h"

#include "base/log.h"
#include "base/units.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <map>
#include <utility>

namespace rknpu {

namespace {

double seconds(uint64_t ns) {
    return double(ns) * 1e-9;
}

size_t open_fds() {
    size_t n = 0;
    if (DIR * dir = opendir("/proc/self/fd")) {
        while (const dirent * entry = readdir(dir))
            n += entry->d_name[0] != '.';
        closedir(dir);
        n--; // the folder itself
    }
    return n;
}

std::string tensor_lines() {
    plugin & p = the_plugin();
    std::lock_guard<std::mutex> lock(p.placements_mutex);
    std::map<std::string, std::pair<size_t, uint64_t>> by_format;
    std::map<std::string, std::pair<size_t, std::string>> by_reason;
    for (const placement & w : p.placements) {
        if (w.reason.empty()) {
            by_format[w.format].first++;
            by_format[w.format].second += w.bytes;
        } else {
            auto & entry = by_reason[w.reason];
            if (entry.first++ == 0) entry.second = w.tensor;
        }
    }
    std::string text;
    for (const auto & [name, n] : by_format)
        text += format_text("  tensors:    %zu on the NPU as %s, %.1f MiB\n", n.first, name.c_str(), in_mib(n.second));
    if (by_format.empty()) text += "  tensors:    none on the NPU\n";
    for (const auto & [reason, n] : by_reason) {
        text += format_text("  on the CPU: %zu (%s%s): %s\n", n.first, n.second.c_str(), n.first > 1 ? ", ..." : "",
                            reason.c_str());
    }
    return text;
}

std::string domain_line() {
    engine & npu = *the_plugin().npu;
    std::string text = "  domains:    ";
    if (npu.ledger().n_used() == 0) return text + "none in use\n";
    const char * separator = "";
    for (int d = 0; d < npu.ledger().n_domains(); d++) {
        const uint64_t bytes = npu.ledger().used(d);
        if (bytes) text += format_text("%s%d: %.1f MiB", std::exchange(separator, ", "), d, in_mib(bytes));
    }
    const counters & c = npu.count();
    return text + format_text("; %llu switches (%.2f per graph)\n", (unsigned long long)c.domain_switches,
                              double(c.domain_switches) / double(std::max<uint64_t>(c.graphs, 1)));
}

std::string summary_text() {
    engine & npu = *the_plugin().npu;
    const counters & c = npu.count();
    std::string text = "rknpu summary\n";
    text += "  device:     " + npu.info().description + "\n";
    if (npu.info().emulated)
        text += "              EMULATED: right results, but its speed says nothing about a board\n";
    if (npu.retired()) text += "              RETIRED after failures: the CPU took over\n";
    text += tensor_lines();
    text += format_text(
        "  NPU jobs:   %llu in %llu graphs (%llu of them new); %llu failed, %llu computed on the CPU instead",
        (unsigned long long)c.jobs, (unsigned long long)c.graphs, (unsigned long long)c.graphs_mirrored,
        (unsigned long long)c.jobs_failed, (unsigned long long)c.jobs_on_cpu);
    if (c.sibling_lists > 0)
        text += format_text("; %llu lists with the experts of several tensors", (unsigned long long)c.sibling_lists);
    if (npu.wishes().check)
        text += format_text("; %llu shares checked, %llu wrong", (unsigned long long)c.shares_checked,
                            (unsigned long long)c.shares_wrong);
    if (c.rows_not_finite > 0)
        text += format_text("; %llu activation rows with a NaN (they stay NaN) or an infinity (computed by the CPU)",
                            (unsigned long long)c.rows_not_finite);
    text += format_text(
        "\n  resources:  %llu contexts, %llu memories and windows, %zu open file descriptors, %.1f MiB of weights\n",
        (unsigned long long)c.contexts, (unsigned long long)c.memories, open_fds(), in_mib(npu.ledger().used()));
    text += domain_line();
    text += format_text("  loading:    %.3f s, of which %.1f MiB were packed weights from disk\n", seconds(c.load_ns),
                        in_mib(c.disk_bytes));
    text += format_text("  bytes:      %.1f MiB of weights streamed, %.1f MiB of activations, %.1f MiB of outputs\n",
                        in_mib(c.weight_bytes), in_mib(c.activation_bytes), in_mib(c.output_bytes));
    const uint64_t ours = c.quantize_ns + c.npu_wait_ns + c.dequantize_ns;
    text += format_text(
        "  time:       %.2f s: quantize %.2f, NPU %.2f, dequantize %.2f, all other operators on the CPU %.2f\n",
        seconds(c.graph_ns), seconds(c.quantize_ns), seconds(c.npu_wait_ns), seconds(c.dequantize_ns),
        seconds(c.graph_ns > ours ? c.graph_ns - ours : 0));
    return text;
}

} // namespace

void write_summary() {
    const std::string & path = the_plugin().npu->wishes().summary;
    // llama.cpp opens and closes a stream to measure memory before the real one.
    if (path.empty() || the_plugin().npu->count().graphs == 0) return;
    const std::string text = summary_text();
    if (path == "-") { // not the log: llama.cpp's programs show no line of a backend by default
        std::fputs(text.c_str(), stderr);
        return;
    }
    std::ofstream file(path);
    if (!(file << text << std::flush))
        log_warn("cannot write the summary to %s: %s", path.c_str(), std::strerror(errno));
}

} // namespace rknpu
