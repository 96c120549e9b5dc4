// rknpu predict: what a model would do on a board, before anybody has bought one. And how well the model behind that
// explains what others have published.
//
// Invariant: opens no NPU and reads no tensor data; every figure is modelled and says so.
#include "commands.h"

#include "base/log.h"
#include "child.h"
#include "predict/demo.h"
#include "predict/prediction.h"
#include "shape-model.h"
#include "validate.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace rknpu {

namespace {

constexpr int exit_does_not_fit = 3; // not a failure of this command, and the prediction was printed
constexpr size_t usual_context = 4096;

struct predict_options {
    std::string model, board_name = "rk3588-16g-lpddr5", format, html;
    size_t context = 0; // 0: not given
    bool as_json = false, peers = false, validate = false, demo_table = false;
};

result<predicted_model> model_named(const std::string & name) {
    if (is_file(name)) {
        auto read = read_gguf_model(name);
        if (!read.ok()) return read.status();
        const std::string file = std::filesystem::path(name).filename().string();
        return predicted_model{file + " (" + read.value().architecture + ")", "the header of " + name, false,
                               std::move(read.value())};
    }
    const auto shape = parse_named_shape(name);
    if (shape.ok()) {
        const model_shape & s = *shape.value().shape;
        return predicted_model{std::string(s.title) + ", matrices as " + shape.value().source, s.origin, s.from_memory,
                               model_of(s, shape.value().source)};
    }
    if (shape.status().code() != errc::not_found) return shape.status();
    std::error_code failed; // of a folder that may not be searched, for one
    if (std::filesystem::exists(name, failed) || failed) return check_gguf("model", name); // which says why it is none
    const std::string near = near_shape(name);
    return status(errc::invalid_argument, "model: no file '" + name + "', and no shape of that name" +
                                              (near.empty() ? "" : " (did you mean " + near + "?)") +
                                              "; give the path of a .gguf file, or one of " + shape_names());
}

// The chosen one, and what else there is.
std::vector<std::string> formats_of(const std::string & chosen) {
    std::vector<std::string> all = {chosen};
    const auto add = [&](const char * name) {
        if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    };
    for (const preset p : all_presets)
        add(preset_name(p));
    for (const format f : all_formats)
        add(format_name(f));
    return all;
}

status check_options(const predict_options & o) {
    const int n_tables = o.peers + o.validate + o.demo_table;
    const auto refuse = [](const char * why) { return status(errc::invalid_argument, why); };
    if (n_tables > 1) return refuse("give one of --peers, --validate and --demo-table");
    if (n_tables == 1 && !o.model.empty())
        return refuse("--peers, --validate and --demo-table take no model: leave it out");
    if (n_tables == 1 && !o.html.empty()) return refuse("--html is for the prediction of a model");
    if (n_tables == 0 && o.model.empty())
        return status(errc::invalid_argument, "no model: give the path of a .gguf file, or one of " + shape_names());
    return {};
}

// What would fit, where the chosen format does not; the CPU alone is the last row.
std::string alternative(const prediction & p) {
    for (const format_outlook & f : p.formats) {
        if (!f.fits) continue;
        return &f == &p.formats.back() ? "; llama.cpp on the CPU alone would fit" : "; it fits with --format " + f.name;
    }
    return "";
}

// Without --ctx no longer than the model was trained with.
size_t context_of(const predict_options & o, const gguf_model & model) {
    const size_t trained = model.context_trained;
    if (o.context == 0) return trained ? std::min(usual_context, trained) : usual_context;
    if (trained && o.context > trained)
        std::fprintf(stderr,
                     "rknpu predict: --ctx %zu is longer than the %zu tokens that the model was trained with, beyond "
                     "which its text is not to be relied on; give --ctx %zu or less\n",
                     o.context, trained, trained);
    return o.context;
}

// Whether the model fits; what is written is written whole.
result<bool> predict_one(const predict_options & o) {
    if (!o.html.empty()) {
        if (auto s = check_output(o.html, "--html"); !s.ok()) return s;
    }
    const auto where = find_board(o.board_name);
    if (!where.ok()) return where.status();
    const auto subject = model_named(o.model);
    if (!subject.ok()) return subject.status();
    const auto p = predict_model(subject.value(), *where.value(),
                                 formats_of(o.format.empty() ? global_settings().format : o.format),
                                 context_of(o, subject.value().model));
    if (!p.ok()) return p.status();
    if (!o.html.empty()) {
        watch_interrupts();
        if (auto s = write_file(o.html, prediction_page(p.value())); !s.ok()) return s;
    }
    std::printf("%s", o.as_json ? (text_of(prediction_json(p.value()), 2) + "\n").c_str()
                                : prediction_text(p.value()).c_str());
    if (!p.value().chosen().fits) {
        std::fprintf(stderr, "rknpu predict: the model %s%s\n", fit_in_words(p.value()).c_str(),
                     alternative(p.value()).c_str());
    }
    return p.value().chosen().fits;
}

status run_predict(const predict_options & o, int & exit_code) {
    if (auto s = check_options(o); !s.ok()) return s;
    if (o.peers) {
        std::printf("%s", o.as_json ? (text_of(peers_json(), 2) + "\n").c_str() : peers_text().c_str());
        return {};
    }
    if (o.validate) return print_validation(o.as_json);
    if (o.demo_table) {
        std::printf("%s", demo_table().c_str());
        return {};
    }
    const auto fits = predict_one(o);
    if (!fits.ok()) return fits.status();
    if (!fits.value()) exit_code = exit_does_not_fit;
    return {};
}

} // namespace

void add_predict(CLI::App & app, int & exit_code) {
    auto o = std::make_shared<predict_options>();
    CLI::App * command = app.add_subcommand("predict", "what a model would do on a board: modelled, no NPU needed");
    command->add_option("model", o->model,
                        "a GGUF file (of several, the first; its header is enough), or a shape: a name as gemma3-1b, "
                        "with the type of its matrices as gemma3-1b:q8_0");
    command->add_option("--board", o->board_name, "rk3588-{4,8,16,32}g-{lpddr4x,lpddr5}")->capture_default_str();
    command
        ->add_option("--ctx", o->context,
                     "tokens of the KV cache, and the end of the curve; default: 4096, or what the model was trained "
                     "with if that is less")
        ->check(CLI::Range(size_t(32), size_t(1) << 20));
    command->add_option("--format", o->format,
                        "policy to look at closely, as GGML_RKNPU_FORMAT (default: that setting)");
    command->add_flag("--json", o->as_json, "as JSON");
    command->add_option("--html", o->html, "write a page with plots into this file as well");
    command->add_flag("--peers", o->peers, "other projects' published speeds, and what this model makes of them");
    command->add_flag("--validate", o->validate, "the timing model against published measurements of single products");
    command->add_flag("--demo-table", o->demo_table, "the table of the README, as Markdown");
    command->callback([o, &exit_code] {
        if (const int failed = exit_code_of("predict", run_predict(*o, exit_code))) exit_code = failed;
    });
}

} // namespace rknpu
