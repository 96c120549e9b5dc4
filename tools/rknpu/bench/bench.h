// rknpu bench: what a user asked for, and what was measured.
//
// Invariant: a speed is stock llama-bench's. What the emulator's clock says is kept apart from what a clock of this
// world says; neither is ever shown as the other.
#pragma once

#include "bench/bench-output.h"
#include "bench/recording.h"
#include "bench/virtual-work.h"
#include "plugin-summary.h"

#include <optional>
#include <string>
#include <vector>

namespace rknpu {

struct bench_wishes {
    std::string model, format; // format empty: the setting's
    std::string power = "auto";
    std::string board = "rk3588-16g-lpddr5"; // of rknpu predict, for the modelled column
    std::string root;                        // of /sys
    std::string output, llama_bin, plugin;
    std::vector<std::string> extra; // for llama-bench
    int n_prompt = 512, n_gen = 128;
    int repetitions = 0; // 0: 5, and 1 on the emulator
    int threads = 0;     // 0: llama-bench's choice
    double idle_seconds = 5, interval_seconds = 0.1;
    bool on_cpu = false; // without the NPU, to compare
    bool as_json = false, as_markdown = false;
};

// Prefill or decode.
struct bench_phase {
    bench_test test;
    machine_state state;
    std::optional<double> watts, watts_over_idle;
    std::optional<virtual_work> emulated;
    std::optional<double> modelled_tokens_s;

    const char * name() const { return test.n_gen ? "decode" : "prefill"; }
    std::string label() const; // as llama-bench's: pp512, tg128 @ d1024
    // Of one token at the speed measured; nothing without power.
    std::optional<double> joules() const { return per_token(watts); }
    std::optional<double> joules_over_idle() const { return per_token(watts_over_idle); }

private:
    std::optional<double> per_token(const std::optional<double> & w) const {
        return w && test.tokens_s > 0 ? std::optional<double>(*w / test.tokens_s) : std::nullopt;
    }
};

struct bench_report {
    bench_wishes wishes;
    std::string date, device, board, kernel, format;
    std::string modelled_for; // the board of rknpu predict; empty: nothing is modelled
    bool emulated = false;
    plugin_summary summary; // of the last run
    std::vector<std::string> rails;
    int rail = -1; // the one that counts
    stretch idle;
    machine_state idle_state;
    std::optional<double> idle_watts;
    std::vector<bench_phase> phases;
    std::vector<std::string> notes; // on power and clocks
};

// Runs it all. status: timeout with an empty message after Ctrl-C.
status measure(bench_report & report);

// W of the chosen rail in each phase, and over idle, from what was recorded.
void take_recording(bench_report & report, const recording & recorded);

std::string bench_table(const bench_report & report);
std::string bench_markdown(const bench_report & report);
json bench_json(const bench_report & report);

} // namespace rknpu
