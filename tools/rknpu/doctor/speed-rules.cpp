// The rules that judge clocks, cores and heat: nothing here keeps the NPU from working, all of it costs speed.
//
// Invariant: on a machine without a supported chip these are notes at most.
#include "base/log.h"
#include "doctor/verdict.h"

#include <algorithm>

namespace rknpu::doctor {

namespace {

std::string mhz(uint64_t hertz) {
    return std::to_string((hertz + 500000) / 1000000);
}

std::string state_of(const clock_domain & c) {
    return c.name + " at " + mhz(c.now) + " of " + mhz(c.hardware) + " MHz, governor " +
           (c.governor.empty() ? "unknown" : c.governor);
}

verdict judge_clock(const machine & m, const clock_domain & c) {
    const severity bad = m.supported() ? severity::warning : severity::note;
    if (c.hardware && c.allowed && !reaches(c.allowed, c.hardware)) {
        return {bad, c.name + " is limited to " + mhz(c.allowed) + " of " + mhz(c.hardware) + " MHz",
                "echo " + std::to_string(c.hardware / c.files.unit) + " | sudo tee " + c.folder + "/" +
                    c.files.allowed};
    }
    if (!is_held(c)) {
        const std::string file = c.folder + "/" + c.files.governor;
        std::vector<repair> repairs;
        if (m.supported()) repairs.push_back({file, "performance"});
        return {bad, state_of(c), "echo performance | sudo tee " + file, repairs};
    }
    if (c.now && !reaches(c.now, c.hardware))
        return {severity::note, state_of(c) + ": heat or firmware holds it back",
                "cat /sys/class/thermal/thermal_zone*/temp"};
    return {severity::ok, state_of(c)};
}

bool contains(const std::vector<int> & all, int cpu) {
    return std::find(all.begin(), all.end(), cpu) != all.end();
}

} // namespace

verdict judge_cpu_clock(const machine & m) {
    verdict worst{severity::ok, ""};
    if (m.cpu_clocks.empty())
        return {m.supported() ? severity::warning : severity::note, "the kernel shows no CPU clocks (no cpufreq)",
                m.supported() ? "boot your board maker's kernel" : ""};
    std::string all;
    for (const auto & c : m.cpu_clocks) {
        const verdict one = judge_clock(m, c);
        worst.repairs.insert(worst.repairs.end(), one.repairs.begin(), one.repairs.end());
        if (one.level == severity::ok) continue;
        all += (all.empty() ? "" : "; ") + one.what;
        if (one.level <= worst.level) continue;
        worst.level = one.level;
        worst.cure = one.cure;
    }
    if (worst.repairs.size() > 1)
        worst.cure = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor";
    worst.what = all;
    // A PC has a policy for each of its cores, and its governor is none of our business.
    if (!m.supported())
        return {severity::ok, std::to_string(m.cpu_clocks.size()) + " CPU clocks; the governor matters on a board"};
    if (all.empty()) worst.what = std::to_string(m.cpu_clocks.size()) + " CPU clocks are held at their maximum";
    return worst;
}

verdict judge_npu_clock(const machine & m) {
    if (m.npu_clock.name.empty()) return {severity::note, "the kernel shows no NPU clock (no devfreq of an .npu)"};
    return judge_clock(m, m.npu_clock);
}

verdict judge_ddr_clock(const machine & m) {
    const std::string none = "the kernel shows no memory clock (no devfreq dmc)";
    if (m.ddr_clock.name.empty())
        return m.supported() ? verdict{severity::ok, none + ": it is fixed"} : verdict{severity::note, none};
    return judge_clock(m, m.ddr_clock);
}

verdict judge_big_cores(const machine & m) {
    const auto big = m.big_cpus();
    if (big.empty() || !m.on_board()) return {severity::ok, "no fast and slow cores to tell apart"};
    const std::string pin = "taskset -c " + cpu_list(big) + " llama-cli -t " + std::to_string(big.size()) + " ...";
    const bool any = std::any_of(big.begin(), big.end(), [&](int cpu) { return contains(m.cpus_allowed, cpu); });
    const bool only =
        std::all_of(m.cpus_allowed.begin(), m.cpus_allowed.end(), [&](int cpu) { return contains(big, cpu); });
    if (m.cpus_allowed.empty()) return {severity::note, "the fast cores are " + cpu_list(big), pin};
    if (!any)
        return {severity::warning,
                "this shell may use CPUs " + cpu_list(m.cpus_allowed) + " only, all of them slow ones", pin};
    if (only) return {severity::ok, "pinned to the fast cores " + cpu_list(m.cpus_allowed)};
    return {severity::note,
            "the fast cores are " + cpu_list(big) + ", and this shell may use " + cpu_list(m.cpus_allowed), pin};
}

verdict judge_online(const machine & m) {
    std::vector<int> off;
    for (const int cpu : m.cpus_present)
        if (!contains(m.cpus_online, cpu)) off.push_back(cpu);
    if (off.empty())
        return {severity::ok, m.cpus_present.empty() ? "not known" : "CPUs " + cpu_list(m.cpus_online) + " are on"};
    return {m.supported() ? severity::warning : severity::note,
            "CPUs " + cpu_list(off) + " are switched off", "for n in " + [&] {
                std::string numbers;
                for (const int cpu : off)
                    numbers += (numbers.empty() ? "" : " ") + std::to_string(cpu);
                return numbers;
            }() + "; do echo 1 | sudo tee /sys/devices/system/cpu/cpu$n/online; done"};
}

verdict judge_interrupt(const machine & m) {
    const auto big = m.big_cpus();
    if (m.npu_interrupts.empty() || big.empty()) return {severity::ok, "no interrupt of an NPU to place"};
    std::string lines, cure;
    for (const auto & line : m.npu_interrupts) {
        // Without a wish of anybody's, the kernel serves an interrupt on the first CPU that is allowed.
        if (!line.cpus.empty() && contains(big, line.cpus.front())) continue;
        lines += (lines.empty() ? "" : ", ") + std::to_string(line.number);
        cure += (cure.empty() ? "" : " && ") + ("echo " + cpu_list(big)) + " | sudo tee /proc/irq/" +
                std::to_string(line.number) + "/smp_affinity_list";
    }
    if (lines.empty()) return {severity::ok, "the NPU's interrupts go to fast cores"};
    return {severity::note, "the NPU's interrupts (" + lines + ") go to slow cores", cure};
}

verdict judge_heat(const machine & m) {
    const auto hottest = std::max_element(m.zones.begin(), m.zones.end(),
                                          [](const zone & a, const zone & b) { return a.celsius < b.celsius; });
    if (hottest == m.zones.end()) return {severity::note, "the kernel shows no temperature"};
    const std::string what = format_text("%s at %.0f C", hottest->name.c_str(), hottest->celsius);
    if (!m.on_board() || hottest->celsius < warm_celsius) return {severity::ok, what};
    return {severity::warning, what + (hottest->celsius < 85 ? ": warm enough to cost speed" : ": the chip throttles"),
            "cool it: a heat sink with a fan; watch cat /sys/class/thermal/thermal_zone*/temp"};
}

} // namespace rknpu::doctor
