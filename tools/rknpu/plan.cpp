// rknpu plan: what the NPU would do with each tensor of a model, and the formats that fit a budget.
//
// Invariant: opens no NPU and reads no tensor data; the plugin plans with the same functions. Times are modelled and
// say so.
#include "commands.h"

#include "base/log.h"
#include "files.h"
#include "layer-kinds.h"
#include "plan/policy-file.h"
#include "planned-model.h"
#include "sensitivities.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

namespace rknpu {

namespace {

constexpr double mib = 1 << 20;
constexpr size_t batch_rows = 512; // llama.cpp's default micro-batch

struct plan_options {
    std::string model, format, chip, sensitivity, rules_path;
    double budget_mib = 0, budget_kld = -1;
    size_t rows = 1;
    bool as_json = false;

    bool has_budget() const { return budget_mib > 0 || budget_kld >= 0; }
};

struct totals : model_bytes {
    size_t n_layers = 0, n_layers_npu = 0;
    double us_1 = 0, us_prompt = 0;
};

double us_of(const gguf_model & model, const planned_tensor & p, size_t rows) {
    return jobs_of(p, rows, model.n_experts_used).us();
}

// llama.cpp multiplies the output head by the last token of a prompt only.
double us_of_prompt(const gguf_model & model, const planned_tensor & p) {
    return us_of(model, p, role_of(p.tensor->facts.name).name == "output" ? 1 : batch_rows);
}

totals sum_of(const gguf_model & model, const std::vector<planned_tensor> & planned) {
    totals sum{bytes_of(model, planned)};
    std::map<int, bool> layers; // whether all of it is on the NPU that could be
    for (const planned_tensor & p : planned) {
        if (!p.plan.ok()) continue;
        const int layer = role_of(p.tensor->facts.name).layer;
        if (layer >= 0) layers[layer] = p.on_npu();
        if (!p.on_npu()) continue;
        sum.us_1 += us_of(model, p, 1);
        sum.us_prompt += us_of_prompt(model, p);
    }
    sum.n_layers = layers.size();
    for (const auto & [layer, on_npu] : layers)
        sum.n_layers_npu += on_npu;
    return sum;
}

std::string shape_of(const weight_facts & facts) {
    std::string text = format_text("%lld x %lld", (long long)facts.K, (long long)facts.N);
    if (facts.n_matrices != 1) text += format_text(" x %lld", (long long)facts.n_matrices);
    return text;
}

std::vector<layer_kind> kinds_of(const gguf_model & model, const std::vector<planned_tensor> & planned) {
    std::vector<timed_weight> weights;
    for (const planned_tensor & p : planned) {
        if (!p.on_npu()) continue;
        weights.push_back({p.tensor->facts.name,
                           shape_of(p.tensor->facts) + " " + format_name(p.plan.value().numeric_format),
                           us_of(model, p, 1), us_of_prompt(model, p)});
    }
    return layer_kinds(weights);
}

std::string layers_text(const std::vector<int> & layers) {
    std::string text;
    for (size_t i = 0; i < layers.size(); i++) {
        size_t last = i;
        while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1)
            last++;
        text += (text.empty() ? "" : ", ") + std::to_string(layers[i]);
        if (last > i) text += "-" + std::to_string(layers[last]);
        i = last;
    }
    return text;
}

void print_kinds(const std::vector<layer_kind> & kinds) {
    std::printf("\n%-28s %12s %14s\n", "NPU time (modelled)", "us/token", "us/512 tokens");
    for (const layer_kind & kind : kinds) {
        if (!kind.layers.empty())
            std::printf("%s: %s\n", kind.layers.size() == 1 ? "layer" : "each of the layers",
                        layers_text(kind.layers).c_str());
        else
            std::printf("no layer\n");
        for (const timed_part & part : kind.parts)
            std::printf("  %-26s %12.0f %14.0f\n", part.name.c_str(), part.us_1, part.us_batch);
        const double n = double(std::max<size_t>(1, kind.layers.size()));
        const std::string label = kind.layers.size() > 1 ? format_text("all %zu of them", kind.layers.size()) : "sum";
        std::printf("  %-26s %12.0f %14.0f\n", label.c_str(), n * kind.sum.us_1, n * kind.sum.us_batch);
    }
}

void print_table(const gguf_model & model, const std::vector<planned_tensor> & planned, const chip & soc) {
    int width = 6;
    for (const planned_tensor & p : planned)
        width = std::max(width, int(p.tensor->facts.name.size()));
    std::printf("%-*s %-7s %-18s %-6s %6s %6s %9s %9s %11s  %s\n", width, "tensor", "source", "K x N", "format",
                "pieces", "domain", "MiB", "us/token", "us/512 rows", "reason");
    for (const planned_tensor & p : planned) {
        const model_tensor & t = *p.tensor;
        std::printf("%-*s %-7s %-18s ", width, t.facts.name.c_str(), t.source.c_str(), shape_of(t.facts).c_str());
        if (!p.on_npu()) {
            std::printf("%-6s %6s %6s %9.2f %9s %11s  %s\n", "CPU", "-", "-", double(t.bytes) / mib, "-", "-",
                        p.plan.ok() ? "no NPU memory is left" : p.plan.status().message().c_str());
            continue;
        }
        const matmul_plan & plan = p.plan.value();
        std::printf("%-6s %6s %6d %9.2f %9.0f %11.0f  %s\n", format_name(plan.numeric_format),
                    format_text("%zu x %zu", plan.segments.size(), plan.slices.size()).c_str(), p.domain,
                    double(plan.weight_bytes()) / mib, us_of(model, p, 1), us_of(model, p, batch_rows),
                    plan.reason.c_str());
    }
    const totals sum = sum_of(model, planned);
    std::printf("\non the NPU: %zu tensors, %.2f MiB packed (%.2f MiB in the file)\n", sum.n_npu,
                double(sum.packed) / mib, double(sum.npu_source) / mib);
    std::printf("on the CPU: %zu tensors, %.2f MiB, with those that no matmul reads\n", sum.n_cpu,
                double(sum.cpu_source) / mib);
    std::printf(
        "NPU time:   %.2f ms per decoded token, %.1f ms for a prompt of %zu, whose last token alone meets the output "
        "head (modelled for %s; without the CPU's work)\n",
        sum.us_1 / 1e3, sum.us_prompt / 1e3, batch_rows, soc.name);
    std::printf("layers:     %zu of %zu on the NPU\n", sum.n_layers_npu, sum.n_layers);
    std::printf("domains:   ");
    for (const auto & [domain, bytes] : sum.domains)
        std::printf(" %d: %.0f MiB", domain, double(bytes) / mib);
    std::printf("; %zu switches per token\n", sum.n_switches());
    print_kinds(kinds_of(model, planned));
}

json as_json(const gguf_model & model, const std::vector<planned_tensor> & planned, const chip & soc) {
    json tensors = json::array();
    for (const planned_tensor & p : planned) {
        const model_tensor & t = *p.tensor;
        json row = {{"name", t.facts.name},
                    {"source", t.source},
                    {"K", t.facts.K},
                    {"N", t.facts.N},
                    {"n_matrices", t.facts.n_matrices},
                    {"source_bytes", t.bytes}};
        if (p.on_npu()) {
            const matmul_plan & plan = p.plan.value();
            row.update({{"format", format_name(plan.numeric_format)},
                        {"domain", p.domain},
                        {"segments", plan.segments.size()},
                        {"slices", plan.slices.size()},
                        {"packed_bytes", plan.weight_bytes()},
                        {"modelled_us_1_row", us_of(model, p, 1)},
                        {"modelled_us_512_rows", us_of(model, p, batch_rows)},
                        {"reason", plan.reason}});
        } else {
            row["refusal"] = p.plan.ok() ? "no NPU memory is left" : p.plan.status().message();
        }
        tensors.push_back(std::move(row));
    }
    json kinds = json::array();
    for (const layer_kind & kind : kinds_of(model, planned)) {
        json parts = json::object();
        for (const timed_part & part : kind.parts)
            parts[part.name] = {{"modelled_us_1_row", part.us_1}, {"modelled_us_512_tokens", part.us_batch}};
        kinds.push_back({{"layers", kind.layers}, {"parts_of_one", parts}});
    }
    const totals sum = sum_of(model, planned);
    return {{"architecture", model.architecture},
            {"chip", soc.name},
            {"tensors", tensors},
            {"layer_kinds", kinds},
            {"totals",
             {{"npu_tensors", sum.n_npu},
              {"layers", sum.n_layers},
              {"npu_layers", sum.n_layers_npu},
              {"domains", sum.domains.size()},
              {"npu_packed_bytes", sum.packed},
              {"npu_source_bytes", sum.npu_source},
              {"cpu_tensors", sum.n_cpu},
              {"cpu_bytes", sum.cpu_source},
              {"modelled_us_1_row", sum.us_1},
              {"modelled_us_512_tokens", sum.us_prompt}}}};
}

// What is no budget is refused without the range of a double, which CLI11's own checks print.
CLI::Validator budget(bool or_zero) {
    const char * wanted = or_zero ? "NUMBER >= 0" : "NUMBER > 0";
    return {[=](std::string & text) {
                double value = -1;
                const bool number = CLI::detail::lexical_cast(text, value) && std::isfinite(value);
                if (number && (value > 0 || (or_zero && value == 0))) return std::string();
                return "'" + text + "' is no budget; give a " + wanted;
            },
            wanted};
}

// The options that belong together; they are checked before any file is read.
status check_options(const plan_options & o) {
    const auto refuse = [](const char * why) { return status(errc::invalid_argument, why); };
    if (o.budget_mib > 0 && o.budget_kld >= 0) return refuse("give --budget-mib or --budget-kld, not both");
    if (o.has_budget() && o.sensitivity.empty())
        return refuse("a budget needs measured sensitivities: --sensitivity <file>, made by rknpu sensitivity");
    if (!o.has_budget() && !o.sensitivity.empty())
        return refuse("--sensitivity is for a budget: add --budget-mib N or --budget-kld X");
    if (!o.has_budget() && !o.rules_path.empty())
        return refuse("-o writes the rules of a budget: add --budget-mib N or --budget-kld X");
    if (o.has_budget() && !o.format.empty()) return refuse("a budget chooses the formats: leave --format out");
    if (!o.rules_path.empty()) {
        if (auto s = check_output(o.rules_path); !s.ok()) return s;
        if (auto s = check_not_input(o.rules_path, {o.model, o.sensitivity}); !s.ok()) return s;
    }
    return {};
}

// The policy to plan with; that of a budget is written or shown too.
result<policy> policy_of(const plan_options & o, const gguf_model & model, const chip & soc) {
    if (!o.has_budget()) return read_policy(o.format.empty() ? global_settings().format : o.format);
    const auto text = read_file(o.sensitivity);
    if (!text.ok())
        return status(text.status().code(),
                      "--sensitivity: " + text.status().message() + "; measure them with rknpu sensitivity -o <file>");
    const auto measured = parse_sensitivities(o.sensitivity, text.value());
    if (!measured.ok()) return measured.status();
    const bool by_mib = o.budget_mib > 0;
    const auto chosen = choose_formats(model, measured.value(), soc, by_mib ? budget_kind::mib : budget_kind::kld,
                                       by_mib ? o.budget_mib : o.budget_kld, o.rows, int(global_settings().cores));
    if (!chosen.ok()) return chosen.status();
    if (!o.rules_path.empty()) {
        if (auto s = write_file(o.rules_path, chosen.value().rules); !s.ok()) return s;
    } else if (!o.as_json) {
        std::printf("%s\n", chosen.value().rules.c_str());
    }
    return policy::parse_lines(chosen.value().rules);
}

status run_plan(const plan_options & o) {
    if (auto s = check_options(o); !s.ok()) return s;
    const std::string & wanted = o.chip.empty() ? global_settings().chip : o.chip;
    const auto soc = find_chip(wanted.empty() ? "rk3588" : wanted);
    if (!soc.ok()) return soc.status();
    const auto model = read_gguf_model(o.model);
    if (!model.ok()) return model.status();
    const auto formats = policy_of(o, model.value(), *soc.value());
    if (!formats.ok()) return formats.status();
    plan_settings wishes;
    wishes.formats = formats.value();
    wishes.n_cores = int(global_settings().cores);
    const weight_limits limits =
        limit_weights(*soc.value(), global_settings().domain_mib, global_settings().memory_mib);
    const auto planned = plan_tensors(model.value(), *soc.value(), wishes, limits);
    if (o.as_json)
        std::printf("%s\n", text_of(as_json(model.value(), planned, *soc.value()), 2).c_str());
    else
        print_table(model.value(), planned, *soc.value());
    return {};
}

} // namespace

void add_plan(CLI::App & app, int & exit_code) {
    auto o = std::make_shared<plan_options>();
    CLI::App * command = app.add_subcommand("plan", "what the NPU would do with each tensor of a model, and why");
    command->add_option("model", o->model, "a GGUF file (of several, the first)")->required();
    command->add_option("--format", o->format, "policy to plan with, as GGML_RKNPU_FORMAT (default: that setting)");
    command->add_option("--chip", o->chip, "chip to plan for (default: GGML_RKNPU_CHIP, or rk3588)");
    command->add_flag("--json", o->as_json, "as JSON");
    command->add_option("--sensitivity", o->sensitivity, "measured sensitivities, by rknpu sensitivity -o");
    command->add_option("--budget-mib", o->budget_mib, "smallest KLD within so many MiB of packed weights")
        ->check(budget(false));
    command->add_option("--budget-kld", o->budget_kld, "fastest (modelled) within so much KLD")->check(budget(true));
    command->add_option("--rows", o->rows, "with --budget-kld: fastest for calls of so many rows; 1 is decoding")
        ->check(CLI::Range(size_t(1), size_t(1) << 20))
        ->capture_default_str();
    command->add_option("-o,--output", o->rules_path, "write the rules of the budget into this file");
    command->callback([o, &exit_code] { exit_code = exit_code_of("plan", run_plan(*o)); });
}

} // namespace rknpu
