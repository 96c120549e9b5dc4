// rknpu calibrate: lets stock llama-perplexity read a text while the plugin collects the second moments of the inputs
// of every packed weight.
//
// Invariant: the output appears whole, when every input is complete. Until then the statistics are in <output>.partial,
// which a later call with the same inputs continues.
#include "base/log.h"
#include "child.h"
#include "commands.h"
#include "llama-programs.h"
#include "model-check.h"
#include "perplexity-run.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <unistd.h>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct calibration {
    std::string model, text, output;
    std::string llama_bin, plugin;
    int chunks = 0, context = 512, threads = 0;
    int memory_mib = 0; // 0: the plugin's choice

    std::string partial() const { return partial_path(output); }
    std::string inputs() const { return partial() + ".inputs"; }
    std::string state() const { return partial() + ".state"; }
    std::string earlier() const { return partial() + ".earlier"; }
    std::string earlier_state() const { return state() + ".earlier"; }
    std::string log() const { return partial() + ".log"; }
};

struct capture_state {
    int complete = 0, total = 0;
};

// What the plugin said of its last pass; nothing (0 of 0) where it has not.
capture_state read_state(const calibration & wanted) {
    const auto content = read_file(wanted.state());
    const json said = content.ok() ? json::parse(content.value(), nullptr, false) : json();
    if (!said.is_object()) return {};
    return {said.value("complete", 0), said.value("total", 0)};
}

void remove_statistics(const calibration & wanted) {
    std::error_code ignored;
    for (const std::string & path : {wanted.partial(), wanted.inputs(), wanted.state(), wanted.earlier(),
                                     wanted.earlier_state()})
        fs::remove(path, ignored);
}

void remove_leftovers(const calibration & wanted) {
    std::error_code ignored;
    remove_statistics(wanted);
    fs::remove(wanted.log(), ignored);
}

// What the passes before this one collected. One that fails may leave sums of a part of the text that look complete:
// then the earlier ones are put back, or nothing is left.
class earlier_passes {
public:
    explicit earlier_passes(const calibration & wanted) : wanted_(wanted) {
        std::error_code failed;
        fs::remove(wanted.earlier(), failed);
        fs::remove(wanted.earlier_state(), failed);
        if (!is_file(wanted.partial()) || !is_file(wanted.state())) return;
        // The plugin replaces the file and does not write into it: a second name keeps it at no cost.
        fs::create_hard_link(wanted.partial(), wanted.earlier(), failed);
        if (failed) fs::copy_file(wanted.partial(), wanted.earlier(), failed);
        if (!failed) fs::copy_file(wanted.state(), wanted.earlier_state(), failed);
        any_ = !failed;
    }
    ~earlier_passes() {
        std::error_code ignored;
        fs::remove(wanted_.earlier(), ignored);
        fs::remove(wanted_.earlier_state(), ignored);
    }

    // By renaming alone, which a full disk allows. False: there was nothing, and nothing is left.
    bool put_back() const {
        std::error_code failed;
        if (any_) fs::rename(wanted_.earlier(), wanted_.partial(), failed);
        if (any_ && !failed) fs::rename(wanted_.earlier_state(), wanted_.state(), failed);
        if (any_ && !failed) return true;
        remove_statistics(wanted_);
        return false;
    }

private:
    const calibration & wanted_;
    bool any_ = false;
};

status check(const calibration & wanted) {
    if (const status s = check_model("model", wanted.model); !s.ok()) return s;
    const auto text = read_file(wanted.text);
    if (!text.ok())
        return status(errc::invalid_argument, "text: " + text.status().message() + "; give a file of plain text");
    if (const status s = check_output(wanted.output); !s.ok()) return s;
    if (const status s = check_not_input(wanted.output, {wanted.model, wanted.text}); !s.ok()) return s;
    const std::string no_npu = why_no_npu(global_settings());
    return no_npu.empty() ? status() : status(errc::not_found, "no NPU: " + no_npu);
}

// Passes of other inputs are thrown away: their sums cannot be taken apart again.
status prepare(const calibration & wanted) {
    const auto text = read_file(wanted.text);
    if (!text.ok()) return text.status();
    const json inputs = {{"model", file_identity(wanted.model)},
                         {"text", fingerprint(text.value())},
                         {"chunks", wanted.chunks},
                         {"context", wanted.context}};
    const auto stored = read_file(wanted.inputs());
    if (stored.ok() && stored.value() == text_of(inputs) && is_file(wanted.partial())) {
        const capture_state state = read_state(wanted);
        std::fprintf(stderr, "rknpu calibrate: going on with %s, %d of %d inputs are complete\n",
                     wanted.partial().c_str(), state.complete, state.total);
        return {};
    }
    remove_leftovers(wanted);
    return write_file(wanted.inputs(), text_of(inputs));
}

perplexity_call pass_call(const calibration & wanted, const std::string & program, const std::string & plugin,
                          int pass) {
    perplexity_call call;
    call.label = format_text("pass %d", pass);
    call.program = program;
    call.exit_gate = find_exit_gate();
    call.model = wanted.model;
    call.text = wanted.text;
    call.log_path = wanted.log();
    call.what = wanted::final_ppl;
    call.arguments = {"-m",       wanted.model, "-f", wanted.text, "-c", std::to_string(wanted.context),
                      "--device", "RKNPU0"};
    if (wanted.chunks > 0) call.arguments.insert(call.arguments.end(), {"--chunks", std::to_string(wanted.chunks)});
    if (wanted.threads > 0) call.arguments.insert(call.arguments.end(), {"-t", std::to_string(wanted.threads)});
    assignments settings = {{"GGML_RKNPU_FORMAT", "w16a16"},
                            {"GGML_RKNPU_CAPTURE", wanted.partial()},
                            {"GGML_RKNPU_CAPTURE_STATE", wanted.state()}};
    if (wanted.memory_mib > 0) settings.push_back({"GGML_RKNPU_CAPTURE_MIB", std::to_string(wanted.memory_mib)});
    call.environment = npu_environment(plugin, settings);
    return call;
}

void warn_if_short(const calibration & wanted, const perplexity_output & output) {
    constexpr int enough = 16 * 512;
    const int tokens = output.chunks() * output.context();
    if (tokens < enough)
        std::fprintf(stderr,
                     "rknpu calibrate: '%s' gave %d tokens only; at least %d are needed for good statistics, 65536 are "
                     "better\n",
                     wanted.text.c_str(), tokens, enough);
}

// Repeats passes until every input is complete; ok with *done == false after Ctrl-C.
status run_passes(const calibration & wanted, const std::string & program, const std::string & plugin) {
    capture_state before = read_state(wanted);
    for (int pass = 1; before.total == 0 || before.complete < before.total; pass++) {
        const earlier_passes earlier(wanted);
        const auto measured = run_perplexity(pass_call(wanted, program, plugin, pass));
        if (!measured.ok()) {
            earlier.put_back();
            return measured.status();
        }
        if (pass == 1) warn_if_short(wanted, measured.value().output);
        const auto & said = measured.value().output.plugin_lines();
        const auto failed = std::find_if(said.begin(), said.end(), [](const std::string & line) {
            return line.find("cannot write") != std::string::npos;
        });
        if (failed != said.end()) {
            if (!earlier.put_back()) remove_leftovers(wanted); // the line says all
            return status(errc::permission, *failed);
        }
        const capture_state now = read_state(wanted);
        if (now.total == 0 || !is_file(wanted.partial())) {
            remove_statistics(wanted);
            return status(errc::incompatible, "the plugin collected nothing; build it anew, it must be as new as this "
                                              "command (" +
                                                  plugin + "); see " + wanted.log());
        }
        std::fprintf(stderr, "pass %d: %d of %d inputs are complete\n", pass, now.complete, now.total);
        if (now.complete < now.total && now.complete <= before.complete)
            return status(errc::out_of_memory,
                          "a whole pass completed no further input; give more with --memory <MiB>");
        before = now;
    }
    return {};
}

status run_calibrate(const calibration & wanted) {
    status done = check(wanted);
    if (!done.ok()) return done;
    const auto program = find_program("llama-perplexity", wanted.llama_bin);
    if (!program.ok()) return program.status();
    const auto plugin = find_plugin(wanted.plugin);
    if (!plugin.ok()) return plugin.status();
    done = prepare(wanted);
    if (!done.ok()) return done;
    watch_interrupts();
    done = run_passes(wanted, program.value(), plugin.value());
    if (interrupted()) {
        const capture_state state = read_state(wanted);
        std::fprintf(stderr, "rknpu calibrate: interrupted; %d of %d inputs are complete, the same command goes on\n",
                     state.complete, state.total);
        return interruption();
    }
    if (!done.ok()) return done;
    if (std::rename(wanted.partial().c_str(), wanted.output.c_str()) != 0)
        return status(errc::permission, "cannot write '" + wanted.output + "': " + std::strerror(errno));
    remove_leftovers(wanted);
    std::fprintf(stderr, "%s is written; GGML_RKNPU_STATS=%s uses it\n", wanted.output.c_str(), wanted.output.c_str());
    return {};
}

} // namespace

void add_calibrate(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand(
        "calibrate", "collects statistics of a model's activations, for better weights (docs/fidelity.md)");
    const auto wanted = std::make_shared<calibration>();
    command->add_option("model", wanted->model, "the model, a .gguf file")->required();
    command
        ->add_option("text", wanted->text,
                     "plain text of the kind that the model will see; not the one to measure with")
        ->required();
    command->add_option("-o,--output", wanted->output, "the file of statistics")->required();
    command->add_option("--ctx", wanted->context, "tokens in a chunk")
        ->capture_default_str()
        ->check(CLI::Range(32, 131072));
    command->add_option("--chunks", wanted->chunks, "chunks of the text; default: all")->check(CLI::Range(1, 1000000));
    command->add_option("--memory", wanted->memory_mib, "most memory for the sums in MiB; less makes more passes")
        ->check(CLI::Range(1, 1048576));
    command->add_option("--threads", wanted->threads, "CPU threads; default: llama.cpp's")->check(CLI::Range(1, 1024));
    command->add_option("--llama-bin", wanted->llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", wanted->plugin, "libggml-rknpu.so");
    command->callback([wanted, &exit_code] {
        wanted->output = behind_links(wanted->output);
        exit_code = exit_code_of("calibrate", run_calibrate(*wanted));
    });
}

} // namespace rknpu
