// rknpu pack: lets stock llama-completion load a model once while the plugin writes its packed weights into a file.
//
// Invariant: conversion has one home, the plugin; here is only a call, its progress and its end. The output appears
// whole; until then the weights are in <output>.partial, which a later call continues.
#include "base/log.h"
#include "child.h"
#include "commands.h"
#include "line-reader.h"
#include "llama-programs.h"
#include "perplexity-output.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <unistd.h>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct packing_call {
    std::string model, output;
    std::string format, stats; // empty: as the environment says
    std::string llama_bin, plugin;

    std::string log() const { return partial_path(output) + ".log"; }
};

// Follows "packed X of Y MiB" in the output of the plugin.
class progress {
public:
    void feed(std::string_view bytes) {
        for (const char c : bytes) {
            if (!lines_.add(c)) continue;
            const std::string & line = lines_.line();
            const size_t at = line.find("rknpu: packed ");
            double done = 0, total = 0;
            if (at != std::string::npos && std::sscanf(&line[at], "rknpu: packed %lf of %lf MiB", &done, &total) == 2)
                show(done, total);
        }
    }
    ~progress() {
        if (terminal_ && total_ > 0) std::fputs("\r\033[K", stderr);
    }
    double done() const { return done_; }
    double total() const { return total_; }

private:
    void show(double done, double total) {
        done_ = done;
        total_ = total;
        const int tenth = total > 0 ? int(10 * done / total) : 0;
        if (!terminal_ && tenth == shown_tenth_) return;
        shown_tenth_ = tenth;
        std::fprintf(stderr, terminal_ ? "\r\033[Kpacked %.0f of %.0f MiB" : "packed %.0f of %.0f MiB\n", done, total);
    }

    line_reader lines_;
    bool terminal_ = isatty(STDERR_FILENO);
    int shown_tenth_ = -1;
    double done_ = 0, total_ = 0;
};

status check(const packing_call & wanted) {
    if (const status model = check_gguf("model", wanted.model); !model.ok()) return model;
    if (!wanted.stats.empty() && !is_file(wanted.stats))
        return {errc::invalid_argument,
                "statistics: no file '" + wanted.stats + "'; give a file of rknpu calibrate or llama-imatrix"};
    if (const status s = check_output(wanted.output); !s.ok()) return s;
    const std::string no_npu = why_no_npu(global_settings());
    if (no_npu.empty()) return {};
    return {errc::not_found, "no NPU: " + no_npu +
                                 "; on a PC, GGML_RKNPU_RUNTIME=<librknnrt.so of the emulator> packs "
                                 "for a board"};
}

std::string word_of(const perplexity_output & output) {
    for (const auto & lines : {output.error_lines(), output.plugin_lines()}) {
        if (!lines.empty()) return lines.back() + "; ";
    }
    return "";
}

// What a load has to be told to find the file, and what the plugin said of statistics that it could not use.
void say_written(const packing_call & wanted, const perplexity_output & said) {
    for (const std::string & line : said.plugin_lines()) {
        if (!wanted.stats.empty() && line.find("statistics") != std::string::npos)
            std::fprintf(stderr, "rknpu pack: %s\n", line.c_str());
    }
    const std::string as_packed = (wanted.format.empty() ? "" : " GGML_RKNPU_FORMAT=" + wanted.format) +
                                  (wanted.stats.empty() ? "" : " GGML_RKNPU_STATS=" + wanted.stats);
    std::error_code ignored;
    std::fprintf(stderr, "%s is written (%.1f MiB); GGML_RKNPU_STORE=%s%s uses it\n", wanted.output.c_str(),
                 double(fs::file_size(wanted.output, ignored)) / (1 << 20), wanted.output.c_str(), as_packed.c_str());
}

status run_pack(const packing_call & wanted) {
    if (const status s = check(wanted); !s.ok()) return s;
    const auto program = find_program("llama-completion", wanted.llama_bin);
    if (!program.ok()) return program.status();
    const auto plugin = find_plugin(wanted.plugin);
    if (!plugin.ok()) return plugin.status();
    // Before an hour of work shows that it cannot be kept.
    if (const status s = write_file(wanted.log(), ""); !s.ok()) return s;
    std::error_code ignored;
    const json before = file_identity(wanted.output); // an older one is replaced, which shows that all is packed

    assignments settings = {{"GGML_RKNPU_PACK", fs::absolute(wanted.output).string()}, {"GGML_RKNPU_STORE", "off"}};
    if (!wanted.format.empty()) settings.push_back({"GGML_RKNPU_FORMAT", wanted.format});
    if (!wanted.stats.empty()) settings.push_back({"GGML_RKNPU_STATS", fs::absolute(wanted.stats).string()});
    perplexity_output said;
    progress shown;
    child_call child;
    // A context as small as may be, and no token: loading is all that is wanted.
    child.argv = {program.value(),
                  "-m",
                  wanted.model,
                  "--device",
                  "RKNPU0",
                  "-ngl",
                  "999",
                  "-c",
                  "64",
                  "-p",
                  "a",
                  "-n",
                  "0",
                  "-no-cnv",
                  "--no-warmup",
                  "-v"};
    child.environment = npu_environment(plugin.value(), settings);
    child.log_path = wanted.log();
    child.on_output = [&](std::string_view bytes) {
        said.feed(bytes);
        shown.feed(bytes);
    };
    watch_interrupts();
    const auto end = run_child(child);
    if (!end.ok()) return end.status();
    if (is_file(wanted.output) && file_identity(wanted.output) != before) {
        fs::remove(wanted.log(), ignored);
        say_written(wanted, said);
        return {};
    }
    if (interrupted()) {
        fs::remove(wanted.log(), ignored);
        std::fprintf(stderr, "rknpu pack: interrupted; %.0f of %.0f MiB are packed, the same command goes on\n",
                     shown.done(), shown.total());
        return interruption();
    }
    if (end.value().exit_code == 0 && said.plugin_lines().empty() && said.error_lines().empty())
        return {errc::incompatible, "the plugin packed nothing; build it anew, it must be as new as this command (" +
                                        plugin.value() + "); see " + wanted.log()};
    return {errc::device_failed,
            format_text("llama-completion did not load the whole model (exit code %d%s): %sits log: "
                        "%s",
                        end.value().exit_code,
                        end.value().signal ? format_text(", signal %d", end.value().signal).c_str() : "",
                        word_of(said).c_str(), wanted.log().c_str())};
}

} // namespace

void add_pack(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand(
        "pack", "converts a model's weights once, into a file that loads fast (docs/store-format.md)");
    const auto wanted = std::make_shared<packing_call>();
    command->add_option("model", wanted->model, "the model, a .gguf file")->required();
    command->add_option("-o,--output", wanted->output, "the file of packed weights, e.g. model.rknpu")->required();
    command->add_option("--format", wanted->format, "numeric format, as GGML_RKNPU_FORMAT");
    command->add_option("--stats", wanted->stats, "statistics of the activations, as GGML_RKNPU_STATS");
    command->add_option("--llama-bin", wanted->llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", wanted->plugin, "libggml-rknpu.so");
    command->callback([wanted, &exit_code] {
        exit_code = exit_code_of("pack", run_pack(*wanted));
    });
}

} // namespace rknpu
