// rknpu bench: stock llama-bench, with the power, clocks and heat of the board beside its speeds.
//
// Invariant: what llama-bench is asked is checked before it starts; a report appears whole or not at all.
#include "bench/bench.h"
#include "bench/modelled.h"

#include "base/log.h"
#include "child.h"
#include "commands.h"
#include "doctor/rules.h"
#include "llama-programs.h"
#include "matmul/engine.h"
#include "model-check.h"
#include "predict/board.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <unistd.h>

extern "C" char ** environ;

namespace rknpu {

namespace {

namespace fs = std::filesystem;

status refuse(const std::string & why) {
    return status(errc::invalid_argument, why);
}

// Options that this command gives by itself; given twice, llama-bench would do something else than reported.
status check_extra(const std::vector<std::string> & extra) {
    constexpr std::pair<const char *, const char *> ours[] = {{"-m", "the model's path"},
                                                              {"--model", "the model's path"},
                                                              {"-p", "-p"},
                                                              {"--n-prompt", "-p"},
                                                              {"-n", "-n"},
                                                              {"--n-gen", "-n"},
                                                              {"-pg", "-p and -n"},
                                                              {"-r", "--repetitions"},
                                                              {"--repetitions", "--repetitions"},
                                                              {"-t", "--threads"},
                                                              {"--threads", "--threads"},
                                                              {"-dev", "--cpu"},
                                                              {"--device", "--cpu"},
                                                              {"-o", "--json"},
                                                              {"--output", "--json"},
                                                              {"-oe", "--json"},
                                                              {"--output-err", "--json"}};
    for (const std::string & word : extra)
        for (const auto & [theirs, instead] : ours)
            if (word == theirs)
                return refuse(std::string("'") + theirs + "' behind -- is given by this command: use " + instead +
                              " before the --");
    return {};
}

status check_wishes(const bench_wishes & w) {
    std::error_code ignored;
    if (auto s = check_model("model", w.model); !s.ok()) return s;
    if (w.n_prompt + w.n_gen == 0) return refuse("-p 0 and -n 0 leave nothing to measure; give one of them");
    if (auto s = check_extra(w.extra); !s.ok()) return s;
    if (!w.format.empty() && w.on_cpu) return refuse("--format is of the NPU: leave it or --cpu away");
    if (!w.format.empty())
        if (auto s = check_format("--format", w.format); !s.ok()) return s;
    if (const auto known = find_board(w.board); !known.ok()) return refuse("--board: " + known.status().message());
    if (!w.root.empty() && !fs::is_directory(w.root, ignored))
        return refuse("--root: no folder '" + w.root + "'; give one that holds sys/ and proc/");
    return w.output.empty() ? status() : check_output(w.output);
}

// What the NPU of this machine is; it is closed again.
status look_at_npu(bench_report & r) {
    const auto opened = engine::open(global_settings());
    if (!opened.ok()) return status(errc::not_found, "no NPU: " + why_no_npu(opened.status()));
    r.device = opened.value()->info().description;
    r.emulated = opened.value()->info().emulated;
    return {};
}

// What explains a speed that disappoints, in the doctor's words.
void add_warnings(bench_report & r, const doctor::machine & m) {
    for (const auto & f : doctor::examine(m))
        if (f.level == doctor::severity::warning) r.notes.push_back("rknpu doctor: " + f.id + ": " + f.what);
}

void look_at_machine(bench_report & r) {
    const doctor::machine m = doctor::read_machine(r.wishes.root, environ);
    r.board = m.board;
    r.kernel = m.kernel;
    if (m.on_board()) add_warnings(r, m);
    const doctor::tree files(r.wishes.root);
    if (m.driver_loaded && !files.exists("/sys/kernel/debug/rknpu/load"))
        r.notes.push_back("the NPU's load is for root only: sudo -E rknpu bench ... shows it");
}

status write_report(const bench_report & r) {
    const bench_wishes & w = r.wishes;
    const std::string extension = fs::path(w.output).extension().string();
    const bool as_json = w.as_json || (!w.as_markdown && extension == ".json");
    const bool as_markdown = w.as_markdown || (!w.as_json && extension == ".md");
    const std::string table = bench_table(r);
    const std::string text = as_json ? text_of(bench_json(r), 2) + "\n" : as_markdown ? bench_markdown(r) : table;
    std::fputs(w.output.empty() ? text.c_str() : table.c_str(), stdout);
    return w.output.empty() ? status() : write_file(w.output, text);
}

std::string today() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
    return text;
}

status run_bench(const bench_wishes & wishes) {
    bench_report report;
    report.wishes = wishes;
    report.date = today();
    report.format = wishes.format.empty() ? global_settings().format : wishes.format;
    status done = check_wishes(wishes);
    if (done.ok() && !wishes.on_cpu) done = look_at_npu(report);
    if (!done.ok()) return done;
    if (report.emulated && wishes.power != "auto" && wishes.power != "none")
        return refuse("--power would measure this PC: with the emulator energy is modelled; leave --power away");
    if (report.wishes.repetitions == 0) report.wishes.repetitions = report.emulated ? 1 : 5;
    if (!report.emulated) look_at_machine(report);
    watch_interrupts();
    done = measure(report);
    if (interrupted()) {
        std::fprintf(stderr, "rknpu bench: interrupted; nothing was written\n");
        return interruption();
    }
    if (!done.ok()) return done;
#ifdef RKNPU_READS_GGUF
    add_modelled(report);
#endif
    return write_report(report);
}

} // namespace

void add_bench(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand(
        "bench", "speed by stock llama-bench, with the board's power, clocks and heat beside it (docs/bench.md)");
    const auto w = std::make_shared<bench_wishes>();
    command->add_option("model", w->model, "the model, a .gguf file")->required();
    command->add_option("llama-bench-arguments", w->extra,
                        "behind --: further arguments of llama-bench, such as -- -fa 1");
    command->add_option("-p,--n-prompt", w->n_prompt, "tokens of the prompt; 0: no prefill")
        ->capture_default_str()
        ->check(CLI::Range(0, 1 << 20));
    command->add_option("-n,--n-gen", w->n_gen, "tokens to generate; 0: no decoding")
        ->capture_default_str()
        ->check(CLI::Range(0, 1 << 20));
    command->add_option("-r,--repetitions", w->repetitions, "of each test; default: 5, on the emulator 1")
        ->check(CLI::Range(1, 10000));
    command->add_option("--threads", w->threads, "CPU threads; default: llama-bench's")->check(CLI::Range(1, 1024));
    command->add_option("--format", w->format, "any value of GGML_RKNPU_FORMAT; default: that setting");
    command->add_flag("--cpu", w->on_cpu, "the same on llama.cpp's CPU backend, to compare with");
    command
        ->add_option(
            "--power", w->power,
            "auto: sensors below /sys; none; a file there; or command:\"...\", which prints W as its last number")
        ->capture_default_str();
    command->add_option("--idle", w->idle_seconds, "seconds of rest before, for the power at idle; 0: none")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 3600.0));
    command->add_option("--interval", w->interval_seconds, "seconds between samples")
        ->capture_default_str()
        ->check(CLI::Range(0.01, 60.0));
    CLI::Option * as_json = command->add_flag("--json", w->as_json, "as JSON");
    command->add_flag("--markdown", w->as_markdown, "as Markdown, to be pasted into an issue")->excludes(as_json);
    command->add_option(
        "-o,--output", w->output,
        "write the report there: by its ending .json or .md in that form, otherwise as the table; the table goes to "
        "stdout as well");
    command->add_option("--board", w->board, "of rknpu predict, whose modelled speed stands beside the measured one")
        ->capture_default_str();
    command->add_option("--root", w->root, "read sensors and clocks below this folder instead of /");
    command->add_option("--llama-bin", w->llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", w->plugin, "libggml-rknpu.so");
    command->callback([w, &exit_code] { exit_code = exit_code_of("bench", run_bench(*w)); });
}

} // namespace rknpu
