// See recording.h.
#include "bench/recording.h"

#include <cstdio>

namespace rknpu {

namespace {

bool fell_below(const std::optional<double> & clock, uint64_t before) {
    return clock && before && !doctor::reaches(uint64_t(*clock), before);
}

// The kernel cools by lowering the highest allowed clock; firmware lowers the clock itself, which only tells where
// nothing else would.
bool is_throttled(const recorded_clock & c, const stretch & part) {
    return fell_below(c.allowed.smallest(part), c.at_start.allowed) ||
           (doctor::is_held(c.at_start) && fell_below(c.now.smallest(part), c.at_start.hardware));
}

} // namespace

machine_state state_in(const recording & all, const stretch & part) {
    machine_state s;
    for (const series & rail : all.rails)
        s.rail_w.push_back(rail.mean(part));
    s.celsius = all.celsius.largest(part);
    s.npu_load = all.npu_load.mean(part);
    const bool hot = s.celsius && *s.celsius >= doctor::warm_celsius;
    for (const recorded_clock & c : all.clocks) {
        const auto smallest = c.now.smallest(part), largest = c.now.largest(part);
        if (!smallest) continue;
        const bool throttled = hot && is_throttled(c, part);
        s.clocks.push_back({c.at_start.name, *smallest, *largest, c.at_start.hardware, throttled});
        s.throttled |= throttled;
    }
    return s;
}

int widest_rail(const recording & all, const stretch & part) {
    int best = -1;
    double most = 0;
    for (size_t i = 0; i < all.rails.size(); i++) {
        const auto mean = all.rails[i].mean(part);
        if (!mean || (best >= 0 && *mean <= most)) continue;
        best = int(i);
        most = *mean;
    }
    return best;
}

// "NPU load:  Core0: 12%, Core1:  0%, Core2:  0%,"
std::optional<double> read_npu_load(const doctor::tree & files) {
    const std::string text = files.text("/sys/kernel/debug/rknpu/load");
    double sum = 0;
    int n = 0;
    for (size_t at = text.find(':'); at != std::string::npos; at = text.find(':', at + 1)) {
        int percent = 0, end = 0;
        if (std::sscanf(text.c_str() + at + 1, "%d%n", &percent, &end) != 1 || text[at + 1 + size_t(end)] != '%')
            continue;
        sum += percent;
        n++;
    }
    return n ? std::optional<double>(sum / n) : std::nullopt;
}

} // namespace rknpu
