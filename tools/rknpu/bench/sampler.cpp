// See sampler.h.
#include "bench/sampler.h"

#include "base/log.h"
#include "bench/power-command.h"

#include <algorithm>
#include <chrono>
#include <sched.h>

namespace rknpu {

namespace {

constexpr double command_limit = 5; // seconds; a smart plug in the same network answers within one
constexpr int failures_allowed = 3; // in a row: plugs in a WLAN miss a question now and then
constexpr const char * command_mark = "command:";

// A reader on a core that computes would slow down what is measured.
void keep_off(const std::vector<int> & cpus) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
    for (const int cpu : cpus)
        if (cpu < CPU_SETSIZE) CPU_CLR(size_t(cpu), &allowed);
    if (CPU_COUNT(&allowed) > 0) sched_setaffinity(0, sizeof(allowed), &allowed);
}

std::string without_power(const std::string & command, const std::string & why) {
    return "the power command '" + command + "' gave no power: " + why +
           "; going on without. It must print W as its last number within " + format_text("%g", command_limit) + " s";
}

power_meter meter_of_command(const std::string & command) {
    power_meter meter;
    const auto first = read_power_command(command, command_limit, [] { return false; });
    if (first.ok())
        meter.command = command;
    else
        meter.notes.push_back(without_power(command, first.status().message()));
    return meter;
}

} // namespace

result<power_meter> open_meter(const doctor::tree & files, const std::string & wanted) {
    if (wanted.rfind(command_mark, 0) == 0) {
        const std::string command = wanted.substr(std::string(command_mark).size());
        if (command.find_first_not_of(' ') != std::string::npos) return meter_of_command(command);
        return status(errc::invalid_argument, "--power command: is followed by a shell command that prints W, such as "
                                              "command:\"curl -s http://plug/power\"");
    }
    power_meter meter;
    if (wanted == "none") return meter;
    if (wanted != "auto") {
        const auto rail = power_rail_of(files, wanted);
        if (!rail.ok()) return rail.status();
        meter.rails.push_back(rail.value());
        return meter;
    }
    power_survey found = find_power_rails(files);
    meter.rails = std::move(found.rails);
    meter.notes = std::move(found.left_out);
    if (meter.rails.empty())
        meter.notes.push_back("this machine shows no sensor of its power; --power command:\"...\" asks a meter");
    return meter;
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

sampler::sampler(const doctor::tree & files, const power_meter & meter, double interval_seconds)
    : files_(files), meter_(meter), interval_(interval_seconds) {
    recorded_.clocks.push_back({doctor::read_npu_clock(files), {}, {}});
    recorded_.clocks.push_back({doctor::read_ddr_clock(files), {}, {}});
    const auto cpus = doctor::read_cpu_clocks(files);
    for (const auto & c : cpus)
        recorded_.clocks.push_back({c, {}, {}});
    auto & all = recorded_.clocks;
    all.erase(std::remove_if(all.begin(), all.end(), [](const auto & c) { return c.at_start.name.empty(); }),
              all.end());
    fast_cpus_ = doctor::fastest_cpus(cpus);
    recorded_.rails.resize(meter.command.empty() ? meter.rails.size() : 1);
    sampling_ = std::thread([this] { keep_sampling(); });
    if (!meter.command.empty()) asking_ = std::thread([this] { keep_asking(); });
}

void sampler::stop() {
    stopping_ = true;
    if (sampling_.joinable()) sampling_.join();
    if (asking_.joinable()) asking_.join();
}

void sampler::pause() const {
    const double end = seconds_now() + interval_;
    for (double left; !stopping_ && (left = end - seconds_now()) > 0;)
        std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.05)));
}

void sampler::keep_sampling() {
    keep_off(fast_cpus_);
    for (; !stopping_; pause())
        sample();
}

void sampler::sample() {
    for (size_t i = 0; i < meter_.rails.size(); i++)
        if (const auto watts = meter_.rails[i].watts(files_)) recorded_.rails[i].add(seconds_now(), *watts);
    const double now = seconds_now();
    for (auto & c : recorded_.clocks) {
        doctor::clock_domain latest = c.at_start;
        doctor::read_again(files_, latest);
        if (latest.now) c.now.add(now, double(latest.now));
        if (latest.allowed) c.allowed.add(now, double(latest.allowed));
    }
    std::optional<double> hottest;
    for (const auto & zone : doctor::read_zones(files_))
        hottest = std::max(hottest.value_or(zone.celsius), zone.celsius);
    if (hottest) recorded_.celsius.add(now, *hottest);
    if (const auto load = read_npu_load(files_)) recorded_.npu_load.add(now, *load);
}

// The answer is taken for the middle of the time that it took.
void sampler::keep_asking() {
    keep_off(fast_cpus_);
    int failures = 0;
    for (; !stopping_ && failures < failures_allowed; pause()) {
        const double asked = seconds_now();
        const auto watts = read_power_command(meter_.command, command_limit, [this] { return stopping_.load(); });
        if (stopping_) return;
        failures = watts.ok() ? 0 : failures + 1;
        if (watts.ok())
            recorded_.rails[0].add((asked + seconds_now()) / 2, watts.value());
        else if (failures == failures_allowed)
            failure_ = without_power(meter_.command, watts.status().message());
    }
}

} // namespace rknpu
