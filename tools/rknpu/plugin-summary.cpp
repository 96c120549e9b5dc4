// See plugin-summary.h; written by src/backend/summary.cpp.
#include "plugin-summary.h"

#include "files.h"

#include <cstdio>
#include <sstream>

namespace rknpu {

namespace {

void take_jobs(plugin_summary & s, const std::string & line) {
    unsigned long long jobs = 0, graphs = 0, anew = 0, failed = 0, on_cpu = 0;
    std::sscanf(line.c_str(),
                "NPU jobs: %llu in %llu graphs (%llu of them new); %llu failed, %llu computed on the CPU instead",
                &jobs, &graphs, &anew, &failed, &on_cpu);
    s.jobs = jobs;
    s.graphs = graphs;
    s.jobs_failed = failed;
    s.jobs_on_cpu = on_cpu;
}

} // namespace

result<plugin_summary> read_summary(const std::string & path) {
    const auto content = read_file(path);
    if (!content.ok()) return content.status();
    plugin_summary s;
    std::istringstream lines(content.value());
    for (std::string line; std::getline(lines, line);) {
        line.erase(0, line.find_first_not_of(' '));
        const auto is = [&](const char * words) { return line.rfind(words, 0) == 0; };
        if (is("device:")) s.device = line.substr(line.find_first_not_of(' ', 7));
        s.emulated |= is("EMULATED");
        s.retired |= is("RETIRED");
        if (is("NPU jobs:")) take_jobs(s, line);
        if (is("RETIRED") || is("on the CPU:") || is("tensors:") || is("NPU jobs:")) s.account.push_back(line);
    }
    return s;
}

} // namespace rknpu
