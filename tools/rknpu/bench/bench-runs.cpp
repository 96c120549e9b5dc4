// The runs of rknpu bench: one of llama-bench with the machine watched, or two for each phase on the emulator.
//
// Invariant: what was started has ended, and the scratch folder is gone, whatever happened.
#include "bench/bench.h"

#include "base/log.h"
#include "bench/sampler.h"
#include "child.h"
#include "llama-programs.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <unistd.h>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

class scratch_folder {
public:
    scratch_folder() {
        std::error_code ignored;
        path_ = (fs::temp_directory_path(ignored) / "rknpu-bench.XXXXXX").string();
        if (!mkdtemp(path_.data())) path_.clear();
    }
    ~scratch_folder() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    scratch_folder(const scratch_folder &) = delete;
    scratch_folder & operator=(const scratch_folder &) = delete;
    bool made() const { return !path_.empty(); }
    std::string file(const char * name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

class bench_session {
public:
    bench_session(bench_report & report, std::string program, std::string plugin)
        : report_(report), wishes_(report.wishes), program_(std::move(program)), plugin_(std::move(plugin)) {}

    status run() {
        if (!scratch_.made())
            return status(errc::permission, std::string("cannot make a scratch folder: ") + std::strerror(errno) +
                                                "; set TMPDIR to a folder that you may write");
        return report_.emulated ? run_emulated() : run_watched();
    }

private:
    status run_watched() {
        const doctor::tree files(wishes_.root);
        const auto meter = open_meter(files, wishes_.power);
        if (!meter.ok()) return meter.status();
        for (const auto & rail : meter.value().rails)
            report_.rails.push_back(rail.name);
        if (!meter.value().command.empty()) report_.rails.push_back("command: " + meter.value().command);
        for (const auto & note : meter.value().notes)
            tell(note);
        sampler watching(files, meter.value(), wishes_.interval_seconds);
        rest();
        bench_output said;
        const status done = call_bench(wishes_.n_prompt, wishes_.n_gen, wishes_.repetitions, said);
        watching.stop();
        if (!done.ok()) return done;
        if (!watching.failure().empty()) tell(watching.failure());
        for (const bench_test & test : said.tests())
            report_.phases.push_back({test, {}, {}, {}, {}, {}});
        take_recording(report_, watching.recorded());
        return {};
    }

    void tell(const std::string & note) {
        report_.notes.push_back(note);
        std::fprintf(stderr, "rknpu bench: %s\n", note.c_str());
    }

    // The machine as it is when nothing of ours runs.
    void rest() {
        report_.idle.begin = seconds_now();
        if (wishes_.idle_seconds > 0) std::fprintf(stderr, "idle for %g s\n", wishes_.idle_seconds);
        while (!interrupted() && seconds_now() - report_.idle.begin < wishes_.idle_seconds)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        report_.idle.end = seconds_now();
    }

    status run_emulated() {
        for (const bool decode : {false, true}) {
            const int n_prompt = decode ? 0 : wishes_.n_prompt, n_gen = decode ? wishes_.n_gen : 0;
            if (n_prompt + n_gen == 0) continue;
            json fewer, more;
            bench_output first, second;
            status done = call_emulated(n_prompt, n_gen, 1, first, fewer);
            if (done.ok()) done = call_emulated(n_prompt, n_gen, 1 + wishes_.repetitions, second, more);
            if (!done.ok()) return done;
            const double tokens = double(wishes_.repetitions) * (n_prompt + n_gen);
            const auto work = work_of_a_token(fewer, more, tokens);
            if (!work.ok()) return work.status();
            report_.phases.push_back({second.tests()[0], {}, {}, {}, work.value(), {}});
        }
        return {};
    }

    status call_emulated(int n_prompt, int n_gen, int repetitions, bench_output & said, json & stats) {
        const std::string path = scratch_.file("emulator.json");
        std::error_code ignored;
        fs::remove(path, ignored);
        const status done = call_bench(n_prompt, n_gen, repetitions, said, {{"RKNN_EMU_STATS", path}});
        if (!done.ok()) return done;
        const auto content = read_file(path);
        stats = content.ok() ? json::parse(content.value(), nullptr, false) : json();
        if (stats.is_object()) return {};
        return status(errc::device_failed, "the emulator wrote no counters; is there room in " + path + "?");
    }

    status call_bench(int n_prompt, int n_gen, int repetitions, bench_output & said, const assignments & more = {}) {
        if (interrupted()) return interruption();
        const std::string summary = scratch_.file("summary");
        std::error_code ignored;
        fs::remove(summary, ignored);
        assignments settings = more;
        settings.push_back({"GGML_RKNPU_SUMMARY", summary});
        if (!wishes_.format.empty()) settings.push_back({"GGML_RKNPU_FORMAT", wishes_.format});
        child_call call{arguments(n_prompt, n_gen, repetitions),
                        wishes_.on_cpu ? cpu_environment() : npu_environment(plugin_, settings),
                        scratch_.file("llama-bench.log"),
                        "",
                        {},
                        {}};
        std::string shown;
        call.on_output = [&](std::string_view bytes) {
            said.feed(bytes, seconds_now());
            if (said.doing() == shown) return;
            shown = said.doing();
            std::fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K%s" : "%s\n", shown.c_str());
        };
        const auto end = run_child(call);
        if (isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
        said.finish(seconds_now());
        if (!end.ok()) return end.status();
        if (interrupted()) return interruption();
        if (auto failed = failure(end.value(), said); !failed.ok()) return failed;
        const size_t wanted = size_t(n_prompt > 0) + size_t(n_gen > 0);
        if (said.tests().size() != wanted)
            return status(
                errc::invalid_argument,
                format_text("llama-bench made %zu tests, %zu were expected: give each of its options one value",
                            said.tests().size(), wanted));
        return wishes_.on_cpu ? status() : take_summary(summary);
    }

    std::vector<std::string> arguments(int n_prompt, int n_gen, int repetitions) const {
        std::vector<std::string> all = {program_,
                                        "-m",
                                        wishes_.model,
                                        "-p",
                                        std::to_string(n_prompt),
                                        "-n",
                                        std::to_string(n_gen),
                                        "-r",
                                        std::to_string(repetitions),
                                        "-o",
                                        "jsonl",
                                        "--progress",
                                        "-dev",
                                        wishes_.on_cpu ? "none" : "RKNPU0"};
        if (wishes_.threads > 0) all.insert(all.end(), {"-t", std::to_string(wishes_.threads)});
        all.insert(all.end(), wishes_.extra.begin(), wishes_.extra.end());
        return all;
    }

    status failure(const child_end & end, const bench_output & said) const {
        if (end.exit_code == 0 && end.signal == 0) return {};
        if (said.error().find("invalid device") != std::string::npos)
            return status(errc::incompatible,
                          "llama-bench does not list the device RKNPU0; the plugin must be built for "
                          "this llama.cpp (" +
                              program_ + "); rknpu doctor says more");
        if (end.signal != 0)
            return status(errc::device_failed,
                          format_text("llama-bench was ended by signal %d (%s%s)", end.signal, strsignal(end.signal),
                                      end.signal == SIGKILL ? "; out of memory?" : ""));
        return status(errc::device_failed,
                      format_text("llama-bench failed with exit code %d: %s; add '-- -v' to see all "
                                  "that it says",
                                  end.exit_code, said.error().empty() ? "no reason given" : said.error().c_str()));
    }

    status take_summary(const std::string & path) {
        const auto summary = read_summary(path);
        if (!summary.ok() || summary.value().jobs == 0)
            return status(errc::device_failed,
                          "the plugin gave the NPU no job: llama.cpp computed on the CPU; rknpu plan " + wishes_.model +
                              " says why, --cpu measures that on purpose");
        report_.summary = summary.value();
        return {};
    }

    bench_report & report_;
    const bench_wishes & wishes_;
    const std::string program_, plugin_;
    scratch_folder scratch_;
};

} // namespace

status measure(bench_report & report) {
    const auto program = find_program("llama-bench", report.wishes.llama_bin);
    if (!program.ok()) return program.status();
    std::string plugin;
    if (!report.wishes.on_cpu) {
        const auto found = find_plugin(report.wishes.plugin);
        if (!found.ok()) return found.status();
        plugin = found.value();
    }
    return bench_session(report, program.value(), plugin).run();
}

void take_recording(bench_report & report, const recording & recorded) {
    report.idle_state = state_in(recorded, report.idle);
    report.rail = widest_rail(recorded, report.idle);
    for (const bench_phase & phase : report.phases)
        if (report.rail < 0) report.rail = widest_rail(recorded, phase.test.when);
    const auto of_rail = [&](const machine_state & s) {
        return report.rail < 0 ? std::nullopt : s.rail_w[size_t(report.rail)];
    };
    report.idle_watts = of_rail(report.idle_state);
    for (bench_phase & phase : report.phases) {
        phase.state = state_in(recorded, phase.test.when);
        phase.watts = of_rail(phase.state);
        if (phase.watts && report.idle_watts) phase.watts_over_idle = *phase.watts - *report.idle_watts;
        if (report.rail >= 0 && !phase.watts)
            report.notes.push_back(phase.label() + " was too short for its power: raise --repetitions, or -p and -n");
    }
}

} // namespace rknpu
