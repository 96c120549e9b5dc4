// rknpu fidelity: how far each format on the NPU is from the reference on the CPU, told by stock llama-perplexity.
//
// Invariant: what is finished stays finished: a call that is interrupted or repeated goes on where the last one ended.
#include "fidelity.h"

#include "base/log.h"
#include "child.h"
#include "commands.h"
#include "model-check.h"
#include "plan/policy.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/file.h>
#include <unistd.h>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

struct fidelity_arguments {
    fidelity_wishes wishes;
    std::vector<std::string> listed; // of --formats
};

// What both options ask for, in their order, each once; without them every format.
status expand_formats(fidelity_arguments & given) {
    std::vector<std::string> & formats = given.wishes.formats;
    std::vector<std::string> asked;
    for (const std::string & word : given.listed) {
        if (word != "presets") {
            asked.push_back(word);
            continue;
        }
        for (const preset p : all_presets)
            asked.push_back(preset_name(p));
    }
    asked.insert(asked.end(), formats.begin(), formats.end());
    if (asked.empty())
        for (const format f : all_formats)
            asked.push_back(format_name(f));
    formats.clear();
    for (const std::string & text : asked) {
        if (text.empty()) return status(errc::invalid_argument, "--formats, --format: an empty one; leave it out");
        const status usable = check_format("--formats, --format", text);
        if (!usable.ok()) return usable;
        if (std::find(formats.begin(), formats.end(), text) == formats.end()) formats.push_back(text);
    }
    return {};
}

status check_wishes(fidelity_wishes & wishes) {
    if (wishes.reference.empty()) wishes.reference = wishes.model;
    if (const status s = check_model("model", wishes.model); !s.ok()) return s;
    if (const status s = check_model("reference", wishes.reference); !s.ok()) return s;
    if (const status s = check_same_model(wishes.model, wishes.reference); !s.ok()) return s;
    const auto text = read_file(wishes.text);
    if (!text.ok())
        return status(errc::invalid_argument, "text: " + text.status().message() + "; give a file of plain text");
    if (!wishes.stats.empty()) {
        if (const status s = check_statistics("--stats", wishes.stats); !s.ok()) return s;
    }
    const int64_t values = int64_t(wishes.chunks) * (wishes.context - 1 - wishes.context / 2);
    if (wishes.chunks > 0 && values < 100)
        return status(errc::invalid_argument,
                      format_text("--chunks %d of --ctx %d are %lld tokens to compare, and llama-perplexity makes no "
                                  "statistics of fewer than 100; raise one of them",
                                  wishes.chunks, wishes.context, (long long)values));
    return {};
}

// One call at a time in a folder, which is made if need be. The lock ends with the process.
status take_folder(const fidelity_wishes & wishes) {
    std::error_code failed;
    fs::create_directories(wishes.folder, failed);
    const int folder = failed ? -1 : open(wishes.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || access(wishes.folder.c_str(), W_OK) != 0)
        return status(errc::invalid_argument, "-o: cannot write to the folder '" + wishes.folder +
                                                  "': " + (failed ? failed.message() : std::strerror(errno)) +
                                                  "; give another folder");
    if (flock(folder, LOCK_EX | LOCK_NB) != 0)
        return status(errc::permission, "another rknpu fidelity works in '" + wishes.folder +
                                            "'; wait for it, or give another folder with -o");
    return {};
}

status write_report(const fidelity_report & report) {
    const std::string & folder = report.wishes.folder;
    const status data = write_file(folder + "/report.json", text_of(report_json(report), 2) + "\n");
    return data.ok() ? write_file(folder + "/report.html", report_page(report)) : data;
}

void print_table(const fidelity_report & report) {
    std::printf("\n%s\n%s\n", table_header(report).c_str(), table_row(report, report.reference).c_str());
    for (const auto & run : report.runs) {
        std::printf("%s\n", table_row(report, run).c_str());
        for (const auto & line : run.tensors)
            if (run.kind == run_kind::npu && line.rfind("NPU jobs", 0) != 0) std::printf("    %s\n", line.c_str());
    }
    std::printf("\n%d chunks of %d tokens. KLD: against the reference, in nats per token.%s\n", report.reference.chunks,
                report.wishes.context, report.emulated() ? " The NPU was EMULATED; no board was used." : "");
}

status run_fidelity(fidelity_arguments & given) {
    fidelity_report report;
    status done = expand_formats(given);
    if (done.ok()) done = check_wishes(given.wishes);
    if (!done.ok()) return done;
    const std::string no_npu = why_no_npu(global_settings());
    if (!no_npu.empty()) return status(errc::not_found, "no NPU: " + no_npu);
    if (given.wishes.folder.empty()) given.wishes.folder = "fidelity-" + fs::path(given.wishes.model).stem().string();
    std::error_code ignored;
    const bool was_there = fs::exists(given.wishes.folder, ignored);
    done = take_folder(given.wishes);
    if (!done.ok()) return done;

    report.wishes = given.wishes;
    watch_interrupts();
    done = measure(report);
    if (!done.ok() && !was_there) fs::remove(given.wishes.folder, ignored); // where nothing is in it
    if (interrupted()) {
        std::fprintf(stderr,
                     "rknpu fidelity: interrupted; %zu of %zu runs are stored in %s, the same command goes on there\n",
                     finished_runs(report), report.runs.size() + 1, given.wishes.folder.c_str());
        return interruption();
    }
    if (done.ok()) done = write_report(report);
    if (!done.ok()) return done;
    if (given.wishes.json)
        std::printf("%s\n", text_of(report_json(report), 2).c_str());
    else
        print_table(report);
    std::fprintf(stderr, "%s/report.html and report.json are written; the .kld file there serves further runs only\n",
                 given.wishes.folder.c_str());
    return {};
}

} // namespace

void add_fidelity(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand(
        "fidelity", "perplexity and KL divergence of each format against a reference on the CPU (docs/fidelity.md)");
    const auto given = std::make_shared<fidelity_arguments>();
    fidelity_wishes & wishes = given->wishes;
    command->add_option("model", wishes.model, "the model, a .gguf file")->required();
    command->add_option("text", wishes.text, "plain text that the model was not made or calibrated with")->required();
    command->add_option("--reference", wishes.reference,
                        "the file to compare with, e.g. F16; default: the model itself");
    command
        ->add_option("--formats", given->listed,
                     "formats or presets, comma-separated, or the word presets; default: all formats")
        ->delimiter(',');
    command->add_option("--format", wishes.formats, "any value of GGML_RKNPU_FORMAT; may be repeated")
        ->allow_extra_args(false);
    command
        ->add_option("--quantize", wishes.quantize, "llama-quantize types to compare with on the CPU, e.g. Q8_0,Q4_0")
        ->delimiter(',');
    command->add_option("--chunks", wishes.chunks, "chunks of the text; default: all")->check(CLI::Range(1, 1000000));
    command->add_option("--ctx", wishes.context, "tokens in a chunk")
        ->capture_default_str()
        ->check(CLI::Range(128, 131072));
    command->add_option("--batch", wishes.batch, "llama-perplexity's -b; smaller needs less memory")
        ->capture_default_str()
        ->check(CLI::Range(32, 131072));
    command->add_option("--threads", wishes.threads, "CPU threads; default: llama.cpp's")->check(CLI::Range(1, 1024));
    command->add_option("--stats", wishes.stats, "statistics made by rknpu calibrate");
    command->add_option("-o,--output", wishes.folder, "folder of the report; default: fidelity-<model>");
    command->add_option("--llama-bin", wishes.llama_bin, "folder of llama.cpp's programs");
    command->add_option("--plugin", wishes.plugin, "libggml-rknpu.so");
    command->add_flag("--json", wishes.json, "report.json on stdout instead of the table");
    command->callback([given, &exit_code] { exit_code = exit_code_of("fidelity", run_fidelity(*given)); });
}

} // namespace rknpu
