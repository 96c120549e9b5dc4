// rknpu pack: lets stock llama-completion load a model once while the plugin writes its packed weights into a file.
//
// Invariant: conversion has one home, the plugin; here is only a call, its progress and its end. The output appears
// whole; until then the weights are in <output>.partial, which a later call continues.
#include "base/log.h"
#include "base/units.h"
#include "child.h"
#include "commands.h"
#include "line-reader.h"
#include "llama-programs.h"
#include "model-check.h"
#include "perplexity-output.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <unistd.h>
#include <utility>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct packing_call {
    std::string model, output;
    std::string format, stats; // empty: as the environment says
    std::string llama_bin, plugin;

    std::string log() const { return partial_path(output) + ".log"; }
};

// Follows what the plugin says of its packing: "packed X of Y MiB", that it failed, or how it ended.
class packing {
public:
    void feed(std::string_view bytes) {
        for (const char c : bytes) {
            if (lines_.add(c)) read_line(lines_.line());
        }
    }
    ~packing() {
        if (terminal_ && !shown_.empty()) std::fputs("\r\033[K", stderr);
    }
    double done() const { return done_; }
    double total() const { return total_; }
    const std::string & failure() const { return failure_; } // with the cure; empty: none
    bool ended() const { return ended_ || !failure_.empty(); }

private:
    void read_line(const std::string & line) {
        const auto after = [&](const std::string & words) {
            const size_t at = line.find("rknpu: " + words);
            return at == std::string::npos ? "" : line.substr(at + std::strlen("rknpu: ") + words.size());
        };
        if (const std::string why = after("packed weights are not kept for the next time: "); !why.empty())
            failure_ = why;
        ended_ |= !after("packed weights: ").empty();
        if (failure_.empty() && std::sscanf(after("packed ").c_str(), "%lf of %lf MiB", &done_, &total_) == 2) show();
    }

    // A line for each tenth where it is not written over.
    void show() {
        const int tenth = total_ > 0 ? int(10 * done_ / total_) : 0;
        const std::string text = format_text("packed %.0f of %.0f MiB", done_, total_);
        if (text == shown_ || (!terminal_ && tenth == shown_tenth_)) return;
        shown_tenth_ = tenth;
        shown_ = text;
        std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
    }

    line_reader lines_;
    std::string shown_, failure_;
    const bool terminal_ = isatty(STDERR_FILENO);
    bool ended_ = false;
    int shown_tenth_ = -1;
    double done_ = 0, total_ = 0;
};

status check(const packing_call & wanted) {
    if (const status s = check_model("model", wanted.model); !s.ok()) return s;
    if (const status s = wanted.format.empty() ? check_format("GGML_RKNPU_FORMAT", global_settings().format)
                                               : check_format("--format", wanted.format);
        !s.ok())
        return s;
    if (!wanted.stats.empty()) {
        if (const status s = check_statistics("statistics", wanted.stats); !s.ok()) return s;
    }
    if (const status s = check_output(wanted.output); !s.ok()) return s;
    if (const status s = check_not_input(wanted.output, {wanted.model, wanted.stats}); !s.ok()) return s;
    const std::string no_npu = why_no_npu(global_settings());
    if (no_npu.empty()) return {};
    return {errc::not_found, "no NPU: " + no_npu +
                                 "; on a PC, GGML_RKNPU_RUNTIME=<librknnrt.so of the emulator> packs "
                                 "for a board"};
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
                 in_mib(fs::file_size(wanted.output, ignored)), wanted.output.c_str(), as_packed.c_str());
}

// The plugin could not write. What it has written is kept, to go on from there. had_partial: from a call before, or of
// another one that is at work.
status not_kept(const packing_call & wanted, const packing & packed, bool had_partial) {
    std::error_code ignored;
    fs::remove(wanted.log(), ignored); // it has nothing to add
    const std::string partial = partial_path(wanted.output);
    if (packed.done() == 0) {
        const bool of_another = packed.failure().find("another program") != std::string::npos;
        if (!had_partial && !of_another) fs::remove(partial, ignored);
        return {errc::permission, packed.failure()};
    }
    return {errc::permission, packed.failure() + format_text("; %.0f of %.0f MiB are in %s, the same command goes on",
                                                             packed.done(), packed.total(), partial.c_str())};
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
    const bool had_partial = is_file(partial_path(wanted.output));
    const json before = file_identity(wanted.output); // an older one is replaced, which shows that all is packed

    assignments settings = {{"GGML_RKNPU_PACK", fs::absolute(wanted.output).string()}, {"GGML_RKNPU_STORE", "off"}};
    if (!wanted.format.empty()) settings.push_back({"GGML_RKNPU_FORMAT", wanted.format});
    if (!wanted.stats.empty()) settings.push_back({"GGML_RKNPU_STATS", fs::absolute(wanted.stats).string()});
    perplexity_output said;
    packing packed;
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
        packed.feed(bytes);
    };
    child.exit_gate = find_exit_gate();
    child.has_said_all = [&] { return packed.ended(); };
    child.is_in_vain = [&] { return !packed.failure().empty(); };
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
                     packed.done(), packed.total());
        return interruption();
    }
    if (!packed.failure().empty()) return not_kept(wanted, packed, had_partial);
    if (end.value().exit_code == 0 && end.value().signal == 0 && said.plugin_lines().empty() &&
        said.error_lines().empty())
        return {errc::incompatible, "the plugin packed nothing; build it anew, it must be as new as this command (" +
                                        plugin.value() + "); see " + wanted.log()};
    return {errc::device_failed,
            format_text("llama-completion did not load the whole model (exit code %d%s): %sits log: "
                        "%s",
                        end.value().exit_code,
                        end.value().signal ? format_text(", signal %d", end.value().signal).c_str() : "",
                        said.cause().c_str(), wanted.log().c_str())};
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
        wanted->output = behind_links(wanted->output);
        exit_code = exit_code_of("pack", run_pack(*wanted));
    });
}

} // namespace rknpu
