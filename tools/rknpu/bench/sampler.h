// Samples a machine from threads of its own while something else runs.
//
// Invariant: reads only; keeps off the fast cores; all threads have ended when stop() returns, and only then may the
// recording be read.
#pragma once

#include "base/status.h"
#include "bench/power-rails.h"
#include "bench/recording.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace rknpu {

// Where the power comes from: rails, or a command, or nothing.
struct power_meter {
    std::vector<power_rail> rails;
    std::string command;
    std::vector<std::string> notes; // for the user: what was left out, what failed

    bool none() const { return rails.empty() && command.empty(); }
};

// wanted: auto, none, command:..., or a file. status: invalid_argument for a file that is no use; a command that fails
// and a machine without sensors give a meter of nothing, with a note.
result<power_meter> open_meter(const doctor::tree & files, const std::string & wanted);

// Seconds of a clock that only goes forward.
double seconds_now();

class sampler {
public:
    sampler(const doctor::tree & files, const power_meter & meter, double interval_seconds);
    ~sampler() { stop(); }
    sampler(const sampler &) = delete;
    sampler & operator=(const sampler &) = delete;
    void stop();
    const recording & recorded() const { return recorded_; }
    const std::string & failure() const { return failure_; } // of the command, once it was given up

private:
    void keep_sampling();
    void keep_asking();
    void sample();
    void pause() const;

    const doctor::tree & files_;
    const power_meter & meter_;
    const double interval_;
    std::vector<int> fast_cpus_;
    recording recorded_;
    std::string failure_;
    std::atomic<bool> stopping_{false};
    std::thread sampling_, asking_;
};

} // namespace rknpu
