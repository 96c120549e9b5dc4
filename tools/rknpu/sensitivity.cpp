// rknpu sensitivity: how much the model's output changes when one group of tensors leaves w16a16 for another format,
// told by stock llama-perplexity.
//
// Invariant: each figure is written as soon as it is measured; a call that is repeated measures only what is missing.
#include "child.h"
#include "commands.h"
#include "llama-programs.h"
#include "perplexity-run.h"
#include "sensitivities.h"

#include "base/log.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct sensitivity_wishes {
    std::string model, text, output, chip = "rk3588", llama_bin, plugin;
    std::vector<std::string> formats = {"w8a16", "w8a8", "w4a8", "w4a4"};
    bool thirds = false;
    int chunks = 16, context = 512, batch = 2048, threads = 0;
};

result<std::vector<format>> parse_formats(const std::vector<std::string> & names) {
    std::vector<format> formats;
    for (const std::string & name : names) {
        const auto f = parse_format(name);
        if (!f.ok()) return status(errc::invalid_argument, "--formats: " + f.status().message());
        if (f.value() == format::w16a16)
            return status(errc::invalid_argument,
                          "--formats: w16a16 is what the others are compared with; leave it out");
        formats.push_back(f.value());
    }
    return formats;
}

class measurement {
public:
    measurement(const sensitivity_wishes & wishes, std::vector<format> formats)
        : wishes_(wishes), formats_(std::move(formats)), base_(wishes.output + ".base"), log_(wishes.output + ".log"),
          summary_(wishes.output + ".summary") {}
    ~measurement() {
        std::error_code ignored;
        for (const std::string & path : {base_, summary_})
            fs::remove(path, ignored);
    }

    status prepare() {
        const auto soc = find_chip(wishes_.chip);
        if (!soc.ok()) return soc.status();
        if (auto s = check_output(wishes_.output); !s.ok()) return s;
        if (auto s = check_not_input(wishes_.output, {wishes_.model, wishes_.text}); !s.ok()) return s;
        const auto model = read_gguf_model(wishes_.model);
        if (!model.ok()) return model.status();
        const auto text = read_file(wishes_.text);
        if (!text.ok())
            return status(errc::invalid_argument, "text: " + text.status().message() + "; give a file of plain text");
        const std::string no_npu = why_no_npu(global_settings());
        if (!no_npu.empty()) return status(errc::not_found, "no NPU: " + no_npu);
        auto program = find_program("llama-perplexity", wishes_.llama_bin);
        if (!program.ok()) return program.status();
        auto plugin = find_plugin(wishes_.plugin);
        if (!plugin.ok()) return plugin.status();
        program_ = program.value();
        plugin_ = plugin.value();
        all_.source = {{"model", file_identity(wishes_.model)},
                       {"text", fingerprint(text.value())},
                       {"chunks", wishes_.chunks},
                       {"context", wishes_.context},
                       {"thirds", wishes_.thirds},
                       {"settings", settings_that_matter()}};
        for (tensor_group & group : group_tensors(model.value(), *soc.value(), wishes_.thirds))
            all_.groups.push_back({std::move(group), {}});
        if (all_.groups.empty())
            return status(errc::unsupported, "the NPU takes no tensor of this model; rknpu plan says why");
        return find_earlier();
    }

    status measure_all() {
        if (n_missing() == 0) return {};
        const auto base = run("w16a16", "all in w16a16", wanted::final_ppl);
        if (!base.ok()) return base.status();
        for (group_sensitivity & g : all_.groups) {
            for (const format f : formats_) {
                if (g.kld.count(f)) continue;
                const std::string label = g.group.name + " in " + format_name(f);
                const auto measured = run(pattern_of(g.group) + "=" + format_name(f) + ",w16a16", label);
                if (!measured.ok()) return measured.status();
                if (auto s = check_used(f, label); !s.ok()) return s;
                // Rounding of the stored logits can make a divergence of nothing slightly negative.
                g.kld[f] = std::max(0.0, measured.value().mean_kld);
                if (auto s = write_file(wishes_.output, text_of(to_json(all_), 2) + "\n"); !s.ok()) return s;
            }
        }
        return {};
    }

    // Only a failure leaves it, which names it.
    void remove_log() const {
        std::error_code ignored;
        fs::remove(log_, ignored);
    }

    size_t n_missing() const {
        size_t n = 0;
        for (const group_sensitivity & g : all_.groups)
            n += size_t(std::count_if(formats_.begin(), formats_.end(), [&](format f) { return !g.kld.count(f); }));
        return n;
    }

    void print() const {
        std::printf("%-24s %7s", "group", "tensors");
        for (const format f : formats_)
            std::printf(" %10s", format_name(f));
        std::printf("   mean KLD from the model in w16a16\n");
        for (const group_sensitivity & g : all_.groups) {
            std::printf("%-24s %7zu", g.group.name.c_str(), g.group.tensors.size());
            for (const format f : formats_)
                std::printf(" %10.6f", g.kld.at(f));
            std::printf("\n");
        }
    }

private:
    // Figures of an earlier call with the same inputs.
    status find_earlier() {
        const auto text = read_file(wishes_.output);
        if (!text.ok()) return {}; // the first call
        auto earlier = parse_sensitivities(wishes_.output, text.value());
        if (!earlier.ok() || earlier.value().source != all_.source)
            return status(errc::invalid_argument, "-o: '" + wishes_.output +
                                                      "' exists and is not of this model, text and options; give "
                                                      "another name, or remove it");
        for (group_sensitivity & g : all_.groups) {
            for (const group_sensitivity & e : earlier.value().groups) {
                if (e.group.name == g.group.name && e.group.tensors == g.group.tensors) g.kld = e.kld;
            }
        }
        return {};
    }

    result<perplexity_statistics> run(const std::string & policy, const std::string & label,
                                      wanted what = wanted::all_statistics) {
        perplexity_call call;
        call.label = label;
        call.program = program_;
        call.exit_gate = find_exit_gate();
        call.model = wishes_.model;
        call.text = wishes_.text;
        call.log_path = log_;
        call.what = what;
        call.arguments = {"-m",       wishes_.model,
                          "-f",       wishes_.text,
                          "-c",       std::to_string(wishes_.context),
                          "-b",       std::to_string(wishes_.batch),
                          "--chunks", std::to_string(wishes_.chunks),
                          "--device", "RKNPU0"};
        if (wishes_.threads > 0) call.arguments.insert(call.arguments.end(), {"-t", std::to_string(wishes_.threads)});
        if (what == wanted::all_statistics) call.arguments.push_back("--kl-divergence");
        call.arguments.insert(call.arguments.end(), {"--kl-divergence-base", base_});
        std::error_code ignored;
        fs::remove(summary_, ignored);
        call.environment = npu_environment(plugin_, {{"GGML_RKNPU_FORMAT", policy}, {"GGML_RKNPU_SUMMARY", summary_}});
        const auto measured = run_perplexity(call);
        if (!measured.ok()) return measured.status();
        for (const std::string & line : measured.value().output.plugin_lines()) {
            if (line.find("GGML_RKNPU_FORMAT") != std::string::npos)
                return status(errc::incompatible, label + ": the plugin is not of this version, it says: " + line);
        }
        return measured.value().output.statistics();
    }

    // The plugin's own account must name the format: a figure of a run that fell back to the CPU is none.
    status check_used(format f, const std::string & label) const {
        const auto summary = read_file(summary_);
        if (summary.ok() && summary.value().find(std::string(" as ") + format_name(f)) != std::string::npos) return {};
        return status(errc::unsupported, label + ": the plugin put no tensor on the NPU in this format; see " + log_);
    }

    sensitivity_wishes wishes_;
    std::vector<format> formats_;
    std::string base_, log_, summary_, program_, plugin_;
    sensitivities all_;
};

status run_sensitivity(const sensitivity_wishes & wishes) {
    const auto formats = parse_formats(wishes.formats);
    if (!formats.ok()) return formats.status();
    measurement m(wishes, formats.value());
    if (auto s = m.prepare(); !s.ok()) return s;
    watch_interrupts();
    const status done = m.measure_all();
    if (done.ok() || interrupted()) m.remove_log();
    if (interrupted()) {
        std::fprintf(stderr,
                     "rknpu sensitivity: interrupted; %zu figures are missing, the same command measures them\n",
                     m.n_missing());
        return interruption();
    }
    if (done.ok()) m.print();
    return done;
}

} // namespace

void add_sensitivity(CLI::App & app, int & exit_code) {
    auto w = std::make_shared<sensitivity_wishes>();
    CLI::App * command = app.add_subcommand(
        "sensitivity", "KL divergence that each group of tensors causes in each format, for rknpu plan --budget-...");
    command->add_option("model", w->model, "a GGUF file")->required();
    command->add_option("text", w->text, "plain text to measure with")->required();
    command->add_option("-o,--output", w->output, "file of the figures; of a repeated call, completed")->required();
    command->add_option("--formats", w->formats, "formats to measure")->delimiter(',')->capture_default_str();
    command->add_flag("--thirds", w->thirds, "groups for the first, second and last third of the layers");
    command->add_option("--chunks", w->chunks, "chunks of the text")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000000));
    command->add_option("--ctx", w->context, "tokens in a chunk")
        ->capture_default_str()
        ->check(CLI::Range(256, 131072));
    command->add_option("--batch", w->batch, "llama-perplexity's -b; smaller needs less memory")
        ->capture_default_str()
        ->check(CLI::Range(32, 131072));
    command->add_option("--threads", w->threads, "CPU threads; default: llama.cpp's")->check(CLI::Range(1, 1024));
    command->add_option("--chip", w->chip, "chip to group for")->capture_default_str();
    command->add_option("--llama-bin", w->llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", w->plugin, "libggml-rknpu.so");
    command->callback([w, &exit_code] { exit_code = exit_code_of("sensitivity", run_sensitivity(*w)); });
}

} // namespace rknpu
