// See clocks.h. The files are those of cpufreq, devfreq and thermal in Linux's sysfs.
#include "doctor/clocks.h"

#include <algorithm>
#include <cstdlib>

namespace rknpu::doctor {

namespace {

uint64_t highest(const std::string & list) {
    uint64_t best = 0;
    char * end = nullptr;
    for (const char * p = list.c_str(); *p; p = end) {
        best = std::max<uint64_t>(best, std::strtoull(p, &end, 10));
        if (end == p) break;
    }
    return best;
}

clock_domain read_devfreq(const tree & files, const std::string & name) {
    clock_domain c;
    c.name = name;
    c.folder = "/sys/class/devfreq/" + name;
    read_again(files, c);
    c.hardware = std::max(c.allowed, highest(files.text(c.folder + "/available_frequencies")));
    return c;
}

} // namespace

void read_again(const tree & files, clock_domain & c) {
    c.governor = files.text(c.folder + "/" + c.files.governor);
    c.now = files.number(c.folder + "/" + c.files.now) * c.files.unit;
    c.allowed = files.number(c.folder + "/" + c.files.allowed) * c.files.unit;
}

std::vector<clock_domain> read_cpu_clocks(const tree & files) {
    const std::string cpufreq = "/sys/devices/system/cpu/cpufreq";
    std::vector<clock_domain> all;
    for (const auto & name : files.names(cpufreq)) {
        if (name.rfind("policy", 0) != 0) continue;
        clock_domain c;
        c.name = "cpufreq " + name;
        c.folder = cpufreq + "/" + name;
        c.files = cpufreq_files;
        read_again(files, c);
        c.hardware = files.number(c.folder + "/cpuinfo_max_freq") * c.files.unit;
        c.cpus = parse_cpu_list(files.text(c.folder + "/related_cpus"));
        all.push_back(c);
    }
    return all;
}

clock_domain read_npu_clock(const tree & files) {
    for (const auto & name : files.names("/sys/class/devfreq"))
        if (name.size() > 4 && name.compare(name.size() - 4, 4, ".npu") == 0) return read_devfreq(files, name);
    return {};
}

clock_domain read_ddr_clock(const tree & files) {
    return files.exists("/sys/class/devfreq/dmc") ? read_devfreq(files, "dmc") : clock_domain();
}

std::vector<zone> read_zones(const tree & files) {
    std::vector<zone> all;
    for (const auto & name : files.names("/sys/class/thermal")) {
        const std::string folder = "/sys/class/thermal/" + name;
        if (name.rfind("thermal_zone", 0) == 0 && files.exists(folder + "/temp"))
            all.push_back({files.text(folder + "/type"), std::atof(files.text(folder + "/temp").c_str()) / 1000});
    }
    return all;
}

bool reaches(uint64_t clock, uint64_t wanted) {
    return double(clock) >= 0.99 * double(wanted);
}

bool is_held(const clock_domain & c) {
    return c.governor == "performance" || (c.governor == "userspace" && reaches(c.now, c.hardware));
}

std::vector<int> fastest_cpus(const std::vector<clock_domain> & cpu_clocks) {
    uint64_t fastest = 0, slowest = UINT64_MAX;
    for (const auto & c : cpu_clocks) {
        fastest = std::max(fastest, c.hardware);
        slowest = std::min(slowest, c.hardware);
    }
    std::vector<int> big;
    // The two A76 clusters of a chip differ by a bin or two; the A55 by a quarter.
    if (double(slowest) > 0.85 * double(fastest)) return big;
    for (const auto & c : cpu_clocks)
        if (double(c.hardware) > 0.85 * double(fastest)) big.insert(big.end(), c.cpus.begin(), c.cpus.end());
    std::sort(big.begin(), big.end());
    return big;
}

std::vector<int> parse_cpu_list(const std::string & text) {
    std::vector<int> cpus;
    const char * p = text.c_str();
    while (*p) {
        char * end;
        const long first = std::strtol(p, &end, 10);
        if (end == p) {
            p++;
            continue;
        }
        const long last = *end == '-' ? std::strtol(end + 1, &end, 10) : first;
        for (long cpu = first; cpu <= last && cpu < 4096; cpu++)
            cpus.push_back(int(cpu));
        p = end;
    }
    return cpus;
}

std::string cpu_list(const std::vector<int> & cpus) {
    std::string text;
    for (size_t i = 0; i < cpus.size();) {
        size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1)
            last++;
        text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
        if (last > i) text += "-" + std::to_string(cpus[last]);
        i = last + 1;
    }
    return text;
}

} // namespace rknpu::doctor
