// The runs of rknpu fidelity: planned, found again, done, stored.
//
// Invariant: a stored run carries its inputs and counts only if they are the ones of now; base logits count only if
// the file is as long as its header says.
#include "fidelity.h"

#include "base/log.h"
#include "child.h"
#include "llama-programs.h"
#include "perplexity-run.h"
#include "plan/format.h"
#include "plugin-summary.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct programs {
    std::string perplexity, quantize, plugin, exit_gate;
};

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return text;
}

// The types that llama-quantize lists, by number or name: "   2  or  Q4_0    :  4.34G". Before an hour of other runs.
status check_types(const std::string & program, const std::vector<std::string> & wanted) {
    std::string help;
    child_call call{{program, "--help"}, cpu_environment(), "/dev/null", "", {}, {}};
    call.on_output = [&](std::string_view bytes) { help += bytes; };
    if (const auto end = run_child(call); !end.ok()) return end.status();
    std::istringstream lines(help);
    std::set<std::string> known;
    std::string names;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string number, between, name;
        if (!(words >> number >> between >> name) || between != "or") continue;
        known.insert({number, upper(name)});
        names += (names.empty() ? "" : ", ") + name;
    }
    for (const std::string & type : wanted) {
        if (!known.empty() && !known.count(upper(type)))
            return status(errc::invalid_argument,
                          "--quantize: llama-quantize has no type '" + type + "'; use one of " + names);
    }
    return {};
}

result<programs> find_programs(const fidelity_wishes & wishes) {
    programs found;
    const auto take = [](const result<std::string> & from, std::string & to) {
        if (from.ok()) to = from.value();
        return from.status();
    };
    status why = take(find_program("llama-perplexity", wishes.llama_bin), found.perplexity);
    if (why.ok() && !wishes.quantize.empty())
        why = take(find_program("llama-quantize", wishes.llama_bin), found.quantize);
    if (why.ok() && !wishes.quantize.empty()) why = check_types(found.quantize, wishes.quantize);
    if (why.ok() && !wishes.formats.empty()) why = take(find_plugin(wishes.plugin), found.plugin);
    if (!why.ok()) return why;
    found.exit_gate = find_exit_gate();
    return found;
}

std::string content_fingerprint(const std::string & path) {
    const auto content = read_file(path);
    return content.ok() ? fingerprint(content.value()) : "";
}

// The logits of the reference: llama-perplexity's own header says how long the file must be.
bool is_whole_base(const std::string & path) {
    std::ifstream in(path, std::ios::binary);
    char magic[8] = {};
    int32_t context = 0, vocabulary = 0, chunks = 0;
    in.read(magic, sizeof(magic));
    in.read(reinterpret_cast<char *>(&context), 4);
    in.read(reinterpret_cast<char *>(&vocabulary), 4);
    in.read(reinterpret_cast<char *>(&chunks), 4);
    if (!in || std::memcmp(magic, "_logits_", 8) != 0) return false;
    const uint64_t row = 2 * ((uint64_t(vocabulary) + 1) / 2) + 4; // 16-bit values, a scale and a minimum before them
    const uint64_t expected = 20 + uint64_t(chunks) * uint64_t(context) * 4 +
                              uint64_t(chunks) * uint64_t(context - 1 - context / 2) * row * 2;
    std::error_code failed;
    return fs::file_size(path, failed) == expected && !failed;
}

class session {
public:
    session(fidelity_report & report, programs found)
        : report_(report), wishes_(report.wishes), found_(std::move(found)) {}

    status run_all() {
        plan();
        bool base_needed = false;
        if (!load(report_.reference)) base_needed = true;
        for (auto & run : report_.runs)
            if (!load(run)) base_needed = true;
        if (base_needed && !(report_.reference.stored && is_whole_base(base_path()))) {
            const status made = make_base();
            if (!made.ok()) return made;
        }
        show(report_.reference);
        for (auto & run : report_.runs) {
            const status done = run.stored ? status() : measure_one(run);
            if (!done.ok()) return done;
            show(run);
        }
        return {};
    }

private:
    void plan() {
        report_.reference.inputs = {{"run", "reference"},
                                    {"model", file_identity(wishes_.reference)},
                                    {"text", content_fingerprint(wishes_.text)},
                                    {"chunks", wishes_.chunks},
                                    {"context", wishes_.context},
                                    {"batch", wishes_.batch},
                                    {"program", file_identity(found_.perplexity)}};
        const json npu = found_.plugin.empty()
                             ? json()
                             : json{{"plugin", content_fingerprint(found_.plugin)},
                                    {"settings", settings_that_matter()},
                                    {"stats", wishes_.stats.empty() ? json() : file_identity(wishes_.stats)}};
        for (auto & run : report_.runs) {
            run.inputs = {{"run", kind_name(run.kind)}, {"what", run.what}, {"reference", report_.reference.inputs}};
            if (run.what[0] == '@') run.inputs["rules"] = content_fingerprint(run.what.substr(1));
            if (run.kind == run_kind::npu) {
                run.inputs["model"] = file_identity(wishes_.model);
                run.inputs.update(npu);
            }
            if (run.kind == run_kind::cpu) run.inputs["model"] = file_identity(wishes_.model);
        }
    }

    std::string file_of(const fidelity_run & run, const char * extension) const {
        return wishes_.folder + "/" + kind_name(run.kind) + "-" + fingerprint(text_of(run.inputs)) + extension;
    }
    std::string base_path() const { return file_of(report_.reference, ".kld"); }

    bool load(fidelity_run & run) const {
        const auto content = read_file(file_of(run, ".json"));
        if (!content.ok()) return false;
        const json stored = json::parse(content.value(), nullptr, false);
        if (!stored.is_object() || stored.value("inputs", json()) != run.inputs) return false;
        run.statistics = statistics_from(stored.value("statistics", json::object()));
        run.chunks = stored.value("chunks", 0);
        run.seconds = stored.value("seconds", 0.0);
        run.emulated = stored.value("emulated", false);
        run.device = stored.value("device", "");
        run.tensors = stored.value("tensors", std::vector<std::string>());
        run.notes = stored.value("notes", std::vector<std::string>());
        return run.stored = true;
    }

    status store(fidelity_run & run, const perplexity_result & measured) const {
        run.statistics = measured.output.statistics();
        run.chunks = measured.output.chunks();
        run.seconds = measured.seconds;
        const json all = {{"inputs", run.inputs},     {"statistics", to_json(run.statistics)},
                          {"chunks", run.chunks},     {"seconds", run.seconds},
                          {"emulated", run.emulated}, {"device", run.device},
                          {"tensors", run.tensors},   {"notes", run.notes}};
        return write_file(file_of(run, ".json"), text_of(all, 2) + "\n");
    }

    // A run that was found again says so.
    void show(const fidelity_run & run) const {
        std::fprintf(stderr, "%s%s\n", table_row(report_, run).c_str(), run.stored ? "  (stored)" : "");
    }

    perplexity_call call_of(const fidelity_run & run, const std::string & model) const {
        perplexity_call call;
        call.label = run.label;
        call.program = found_.perplexity;
        call.exit_gate = found_.exit_gate;
        call.model = model;
        call.text = wishes_.text;
        call.log_path = file_of(run, ".log");
        call.arguments = {"-m", model,
                          "-f", wishes_.text,
                          "-c", std::to_string(wishes_.context),
                          "-b", std::to_string(wishes_.batch)};
        const auto add = [&](std::initializer_list<std::string> more) {
            call.arguments.insert(call.arguments.end(), more);
        };
        if (wishes_.chunks > 0) add({"--chunks", std::to_string(wishes_.chunks)});
        if (wishes_.threads > 0) add({"-t", std::to_string(wishes_.threads)});
        add({"--device", run.kind == run_kind::npu ? "RKNPU0" : "none"});
        if (run.kind != run_kind::npu) call.environment = cpu_environment();
        return call;
    }

    status make_base() {
        fidelity_run & run = report_.reference;
        run.stored = false;
        const std::string partial = partial_path(base_path());
        perplexity_call call = call_of(run, wishes_.reference);
        call.what = wanted::final_ppl;
        call.arguments.insert(call.arguments.end(), {"--kl-divergence-base", partial});
        const auto measured = run_perplexity(call);
        std::error_code failed;
        if (!measured.ok()) {
            fs::remove(partial, failed);
            return measured.status();
        }
        if (!is_whole_base(partial)) {
            fs::remove(partial, failed);
            return status(errc::out_of_memory, "the reference's logits in " + wishes_.folder +
                                                   " are not complete; is the disk full? Free some space or give fewer "
                                                   "--chunks");
        }
        fs::rename(partial, base_path(), failed);
        if (failed) return status(errc::permission, "cannot write " + base_path() + ": " + failed.message());
        return store(run, measured.value());
    }

    status measure_one(fidelity_run & run) {
        if (interrupted()) return interruption();
        std::string model = wishes_.model;
        if (run.kind == run_kind::quantized) {
            model = file_of(run, ".gguf");
            const status made = make_quantized(run, model);
            if (!made.ok()) return made;
        }
        perplexity_call call = call_of(run, model);
        call.arguments.insert(call.arguments.end(), {"--kl-divergence", "--kl-divergence-base", base_path()});
        const std::string summary = file_of(run, ".summary");
        std::error_code ignored;
        if (run.kind == run_kind::npu) {
            fs::remove(summary, ignored);
            assignments settings = {{"GGML_RKNPU_FORMAT", run.what}, {"GGML_RKNPU_SUMMARY", summary}};
            if (!wishes_.stats.empty()) settings.push_back({"GGML_RKNPU_STATS", wishes_.stats});
            call.environment = npu_environment(found_.plugin, settings);
        }
        const auto measured = run_perplexity(call);
        if (!measured.ok()) return measured.status();
        if (run.kind == run_kind::npu) {
            const status used = read_summary(run, summary, measured.value().output, call.log_path);
            if (!used.ok()) return used;
        }
        const status stored = store(run, measured.value());
        fs::remove(summary, ignored);
        if (run.kind == run_kind::quantized) fs::remove(model, ignored); // made again in seconds, and large
        return stored;
    }

    status make_quantized(const fidelity_run & run, const std::string & path) const {
        if (is_file(path)) return {};
        const std::string partial = partial_path(path), log = file_of(run, ".log");
        std::fprintf(stderr, "%s: quantizing\n", run.label.c_str());
        child_call call{{found_.quantize, wishes_.reference, partial, run.what}, cpu_environment(), log, "", {}, {}};
        const auto end = run_child(call);
        std::error_code failed;
        if (end.ok() && !interrupted() && end.value().exit_code == 0 && end.value().signal == 0) {
            fs::rename(partial, path, failed);
            if (!failed) return {};
        }
        fs::remove(partial, failed);
        if (!end.ok()) return end.status();
        if (interrupted()) return interruption();
        return status(errc::device_failed, "llama-quantize cannot make " + run.what + " of '" + wishes_.reference +
                                               "'; is it one of its types? Its log: " + log);
    }

    // What the plugin did, in its own words; and whether it did what was asked.
    status read_summary(fidelity_run & run, const std::string & path, const perplexity_output & output,
                        const std::string & log) const {
        for (const std::string & line : output.plugin_lines()) {
            // An old plugin, a policy with a mistake, damaged statistics: the figures would be others than asked for.
            for (const char * words : {"unknown setting GGML_RKNPU_STATS", "format '", "GGML_RKNPU_FORMAT",
                                       "; weights are converted without it"})
                if (line.find(words) != std::string::npos)
                    return status(errc::invalid_argument, run.label + ": the plugin says: " + line);
            run.notes.push_back(line);
            if (line.find("that it does not know") !=
                std::string::npos) // statistics of another model, or of few tokens
                std::fprintf(stderr, "rknpu fidelity: %s: %s\n", run.label.c_str(), line.c_str());
        }
        const auto said = rknpu::read_summary(path);
        if (!said.ok())
            return status(errc::device_failed,
                          run.label + ": the plugin computed nothing, llama.cpp used the CPU; see " + log);
        run.device = said.value().device;
        run.emulated |= said.value().emulated;
        run.tensors = said.value().account;
        bool as_asked = !parse_format(run.what).ok(); // a policy mixes formats
        for (const std::string & line : run.tensors)
            as_asked |= line.rfind("tensors:", 0) == 0 && line.find(" as " + run.what) != std::string::npos;
        if (as_asked) return {};
        return status(errc::unsupported, run.label + ": the plugin put no tensor on the NPU in this format (" +
                                             (run.tensors.empty() ? "no reason given" : run.tensors.front()) +
                                             "); see " + log);
    }

    fidelity_report & report_;
    const fidelity_wishes & wishes_;
    programs found_;
};

} // namespace

const char * kind_name(run_kind kind) {
    switch (kind) {
    case run_kind::reference:
        return "reference";
    case run_kind::cpu:
        return "cpu";
    case run_kind::quantized:
        return "quantized";
    case run_kind::npu:
        return "npu";
    }
    return "";
}

bool fidelity_report::emulated() const {
    for (const auto & run : runs)
        if (run.emulated) return true;
    return false;
}

size_t finished_runs(const fidelity_report & report) {
    size_t n = report.reference.chunks > 0;
    for (const auto & run : report.runs)
        n += run.chunks > 0;
    return n;
}

status measure(fidelity_report & report) {
    const fidelity_wishes & wishes = report.wishes;
    auto found = find_programs(wishes);
    if (!found.ok()) return found.status();
    const std::string stem = fs::path(wishes.model).filename().string();
    report.reference.kind = run_kind::reference;
    report.reference.label = "CPU " + fs::path(wishes.reference).filename().string();
    report.reference.what = wishes.reference;
    const auto plan = [&](run_kind kind, const char * where, const std::string & what, const std::string & shown) {
        fidelity_run run;
        run.kind = kind;
        run.label = std::string(where) + " " + shown;
        run.what = what;
        report.runs.push_back(run);
    };
    std::error_code ignored;
    if (!fs::equivalent(wishes.model, wishes.reference, ignored)) plan(run_kind::cpu, "CPU", wishes.model, stem);
    for (const auto & type : wishes.quantize)
        plan(run_kind::quantized, "CPU", type, type);
    for (const auto & format : wishes.formats)
        plan(run_kind::npu, "NPU", format, format);
    return session(report, found.value()).run_all();
}

} // namespace rknpu
