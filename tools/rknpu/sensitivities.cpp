// See sensitivities.h.
#include "sensitivities.h"

#include "base/check.h"
#include "base/log.h"
#include "plan/budget.h"
#include "plan/merge.h"

#include <algorithm>
#include <map>
#include <set>

namespace rknpu {

namespace {

bool is_grouped(const model_tensor & t, const chip & soc) {
    plan_settings exact;
    exact.formats = format::w16a16;
    return t.is_multiplied && !is_router(t.facts.name) && plan_weight(t.facts, soc, exact).ok();
}

std::string escaped(const std::string & text) {
    std::string out;
    for (const char c : text) {
        if (std::string(".\\^$|()[]{}*+?").find(c) != std::string::npos) out += '\\';
        out += c;
    }
    return out;
}

// One of these, in parentheses unless it is alone.
std::string any_of(const std::set<std::string> & words) {
    std::string text;
    for (const std::string & word : words)
        text += (text.empty() ? "" : "|") + word;
    return words.size() == 1 ? text : "(" + text + ")";
}

// What a format costs a group: bytes of packed weights and modelled time. Not ok if the NPU refuses a tensor in it.
struct group_cost {
    double bytes = 0, us = 0;
};
result<group_cost> cost_of(const std::vector<const model_tensor *> & tensors, const chip & soc, const policy & formats,
                           size_t rows, size_t n_experts_used, int n_cores) {
    plan_settings wishes;
    wishes.formats = formats;
    wishes.n_cores = n_cores;
    group_cost sum;
    std::vector<matmul_plan> plans;
    for (const model_tensor * t : tensors) {
        auto plan = plan_weight(t->facts, soc, wishes);
        if (!plan.ok()) return plan.status();
        sum.bytes += double(plan.value().weight_bytes());
        plans.push_back(std::move(plan.value()));
    }
    std::vector<const matmul_plan *> pointers;
    for (const matmul_plan & plan : plans)
        pointers.push_back(&plan);
    sum.us = plan_us(pointers, rows, n_experts_used, wishes.n_cores);
    return sum;
}

struct priced_option {
    format f;
    double kld;
    group_cost cost;
};

const model_tensor * find_tensor(const gguf_model & model, const std::string & name) {
    for (const model_tensor & t : model.tensors) {
        if (t.facts.name == name) return &t;
    }
    return nullptr;
}

result<std::vector<priced_option>> options_of(const gguf_model & model, const group_sensitivity & group,
                                              const chip & soc, size_t rows, int n_cores) {
    std::vector<const model_tensor *> tensors;
    for (const std::string & name : group.group.tensors) {
        tensors.push_back(find_tensor(model, name));
        if (!tensors.back())
            return status(errc::invalid_argument, "the sensitivities are of another model: this one has no tensor '" +
                                                      name + "'; measure it with rknpu sensitivity");
    }
    std::map<format, double> kld = group.kld;
    kld[format::w16a16] = 0;
    std::vector<priced_option> options;
    for (const auto & [f, divergence] : kld) {
        const auto cost = cost_of(tensors, soc, f, rows, model.n_experts_used, n_cores);
        if (cost.ok()) options.push_back({f, divergence, cost.value()});
    }
    if (options.empty())
        return status(errc::invalid_argument, "the NPU takes no tensor of group '" + group.group.name +
                                                  "'; measure this model again with rknpu sensitivity");
    return options;
}

// What the groups leave over is planned as the last line of the rules says, with what reads the same activation.
group_cost cost_of_rest(const gguf_model & model, const sensitivities & measured, const chip & soc, size_t rows,
                        int n_cores) {
    std::set<std::string> grouped;
    for (const auto & g : measured.groups)
        grouped.insert(g.group.tensors.begin(), g.group.tensors.end());
    std::map<std::string, std::vector<const model_tensor *>> rest;
    for (const model_tensor & t : model.tensors) {
        if (!t.is_multiplied || grouped.count(t.facts.name)) continue;
        plan_settings wishes;
        wishes.formats = policy();
        if (plan_weight(t.facts, soc, wishes).ok()) rest[activation_group(t.facts.name)].push_back(&t); // or the CPU's
    }
    group_cost sum;
    for (const auto & [name, tensors] : rest) {
        const auto cost = cost_of(tensors, soc, policy(), rows, model.n_experts_used, n_cores);
        RKNPU_CHECK(cost.ok(), "a tensor that was planned is refused");
        sum.bytes += cost.value().bytes;
        sum.us += cost.value().us;
    }
    return sum;
}

} // namespace

std::vector<tensor_group> group_tensors(const gguf_model & model, const chip & soc, bool thirds) {
    int n_layers = 0;
    for (const model_tensor & t : model.tensors)
        n_layers = std::max(n_layers, role_of(t.facts.name).layer + 1);
    std::vector<tensor_group> groups;
    for (const model_tensor & t : model.tensors) {
        if (!is_grouped(t, soc)) continue;
        const tensor_role role = role_of(t.facts.name);
        std::string name = role.name;
        if (thirds && role.layer >= 0) name += format_text(" %d/3", role.layer * 3 / n_layers + 1);
        auto group = std::find_if(groups.begin(), groups.end(), [&](const auto & g) { return g.name == name; });
        if (group == groups.end()) group = groups.insert(groups.end(), {name, {}});
        group->tensors.push_back(t.facts.name);
    }
    return groups;
}

std::string pattern_of(const tensor_group & group) {
    // blk.<one of the layers>.<one of the rests>, or the names themselves: a role has the same tensors in each layer,
    // or fewer.
    std::set<std::string> layers, rests;
    for (const std::string & name : group.tensors) {
        const int layer = role_of(name).layer;
        const std::string prefix = layer < 0 ? "" : format_text("blk.%d.", layer);
        if (layer >= 0) layers.insert(std::to_string(layer));
        rests.insert(escaped(name.substr(prefix.size())));
    }
    return "^" + (layers.empty() ? "" : "blk\\." + any_of(layers) + "\\.") + any_of(rests) + "$";
}

json to_json(const sensitivities & all) {
    json out = {{"what", "mean KL divergence with one group in the format and all others in w16a16"},
                {"source", all.source},
                {"groups", json::array()}};
    for (const auto & g : all.groups) {
        json kld = json::object();
        for (const auto & [f, value] : g.kld)
            kld[format_name(f)] = value;
        out["groups"].push_back({{"name", g.group.name}, {"tensors", g.group.tensors}, {"kld", kld}});
    }
    return out;
}

result<sensitivities> parse_sensitivities(const std::string & path, const std::string & text) {
    const auto refuse = [&](const std::string & why) {
        return status(errc::invalid_argument,
                      "sensitivities: '" + path + "' " + why + "; measure them with rknpu sensitivity -o <file>");
    };
    try {
        const json in = json::parse(text);
        sensitivities all;
        all.source = in.at("source");
        for (const json & g : in.at("groups")) {
            group_sensitivity group{{g.at("name"), g.at("tensors")}, {}};
            for (const auto & [name, value] : g.at("kld").items()) {
                const auto f = parse_format(name);
                if (!f.ok()) return refuse("has an unknown format '" + name + "'");
                const double kld = value.get<double>();
                if (!(kld >= 0 && kld < 1e9)) return refuse("has a divergence that is none (" + value.dump() + ")");
                group.kld[f.value()] = kld;
            }
            if (group.group.tensors.empty()) return refuse("has a group without tensors");
            all.groups.push_back(std::move(group));
        }
        return all;
    } catch (const json::exception &) {
        return refuse("is not a file of rknpu sensitivity");
    }
}

result<budget_result> choose_formats(const gguf_model & model, const sensitivities & measured, const chip & soc,
                                     budget_kind kind, double budget, size_t rows, int n_cores) {
    const group_cost rest = cost_of_rest(model, measured, soc, rows, n_cores);
    std::vector<std::vector<priced_option>> priced;
    std::vector<std::vector<budget_option>> options;
    for (const auto & group : measured.groups) {
        auto of_group = options_of(model, group, soc, rows, n_cores);
        if (!of_group.ok()) return of_group.status();
        options.emplace_back();
        for (const priced_option & o : of_group.value())
            options.back().push_back(kind == budget_kind::mib ? budget_option{o.cost.bytes, o.kld}
                                                              : budget_option{o.kld, o.cost.us});
        priced.push_back(std::move(of_group.value()));
    }
    const double mib = 1 << 20;
    const auto chosen = choose_within(options, kind == budget_kind::mib ? budget * mib - rest.bytes : budget);
    if (!chosen.ok()) {
        double least = rest.bytes;
        for (const auto & group : options)
            least += std::min_element(group.begin(), group.end(), [](const auto & a, const auto & b) {
                         return a.cost < b.cost;
                     })->cost;
        return kind == budget_kind::mib
                   ? status(errc::unsupported,
                            format_text("this model needs at least %.2f MiB on the NPU in the formats "
                                        "measured, more than the %.2f MiB allowed; raise --budget-mib",
                                        least / mib, budget))
                   : status(errc::unsupported,
                            format_text("no choice of formats stays within a divergence of %g; raise "
                                        "--budget-kld",
                                        budget));
    }
    budget_result result{"", 0};
    group_cost sum = rest;
    std::string lines;
    for (size_t g = 0; g < priced.size(); g++) {
        const priced_option & o = priced[g][chosen.value().options[g]];
        sum.bytes += o.cost.bytes;
        sum.us += o.cost.us;
        result.kld += o.kld;
        lines +=
            format_text("%s=%s   # %s: KLD %.6f, %.2f MiB, %.0f us\n", pattern_of(measured.groups[g].group).c_str(),
                        format_name(o.f), measured.groups[g].group.name.c_str(), o.kld, o.cost.bytes / mib, o.cost.us);
    }
    result.rules =
        format_text(
            "# Written by rknpu plan: %s. Use it as GGML_RKNPU_FORMAT=@<this file>.\n"
            "# Sums: KLD %.6f (parts measured, sum assumed), %.2f MiB packed, %.0f us of NPU time for %zu row%s "
            "(modelled, %s).\n",
            kind == budget_kind::mib ? format_text("smallest KLD within %g MiB", budget).c_str()
                                     : format_text("fastest within KLD %g", budget).c_str(),
            result.kld, sum.bytes / mib, sum.us, rows, rows == 1 ? "" : "s", soc.name) +
        lines + "balanced\n";
    return result;
}

} // namespace rknpu
