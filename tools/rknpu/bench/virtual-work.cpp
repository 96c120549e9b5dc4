// See virtual-work.h; the counters are those of emulator/rknn-emu.h.
#include "bench/virtual-work.h"

namespace rknpu {

namespace {

std::optional<double> counter(const json & stats, const char * name) {
    if (!stats.is_object() || !stats.contains(name)) return std::nullopt;
    const json & value = stats.at(name);
    if (value.is_number()) return value.get<double>();
    if (!value.is_array()) return std::nullopt;
    double sum = 0; // one number per core
    for (const json & part : value)
        sum += part.is_number() ? part.get<double>() : 0;
    return sum;
}

} // namespace

result<virtual_work> work_of_a_token(const json & fewer, const json & more, double tokens) {
    const auto each = [&](const char * name, double unit) -> std::optional<double> {
        const auto a = counter(fewer, name), b = counter(more, name);
        return a && b ? std::optional<double>((*b - *a) * unit / tokens) : std::nullopt;
    };
    const auto jobs = each("runs", 1);
    if (!jobs || *jobs <= 0)
        return status(errc::device_failed, "the emulator's counters do not rise with the tokens; is the runtime the "
                                           "emulator of this build?");
    virtual_work work;
    work.jobs = *jobs;
    work.macs = each("macs", 1).value_or(0);
    work.weight_bytes = each("bytes_b", 1).value_or(0);
    work.npu_us = each("virtual_ns", 1e-3);
    work.core_us = each("busy_ns_of_core", 1e-3);
    work.joules = each("energy_uj", 1e-6);
    return work;
}

} // namespace rknpu
