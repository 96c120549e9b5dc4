// Groups of tensors, how much each group's format changes the model's output, and the formats that fit a budget.
//
// Invariant: a group's pattern finds the names of its own tensors and of no other tensor of the model. Figures of
// divergence come from measurement, those of time from the timing model.
#pragma once

#include "files.h"
#include "gguf-model.h"

#include <map>
#include <string>
#include <vector>

namespace rknpu {

// Tensors of one role (see role_of), all of them or those of a third of the layers, counted from 1.
struct tensor_group {
    std::string name; // "ffn_down", "ffn_down 1/3"
    std::vector<std::string> tensors;
};

// The groups of what the NPU takes, without routers, which the presets keep in w16a16.
std::vector<tensor_group> group_tensors(const gguf_model & model, const chip & soc, bool thirds);

// A regular expression without a comma, as rules want it (plan/policy.h).
std::string pattern_of(const tensor_group & group);

// Mean KL divergence of the model with one group in a format and all others in w16a16, from the model all in w16a16.
struct group_sensitivity {
    tensor_group group;
    std::map<format, double> kld; // not w16a16, whose divergence is 0
};

struct sensitivities {
    json source; // what was measured: model, text, chunks
    std::vector<group_sensitivity> groups;
};

json to_json(const sensitivities & all);
result<sensitivities> parse_sensitivities(const std::string & path, const std::string & text);

enum class budget_kind { mib, kld };

struct budget_result {
    std::string rules; // one item per line, for GGML_RKNPU_FORMAT=@file
    double kld;        // the sum of the parts
};

// Smallest divergence within so many MiB of packed weights, or the shortest modelled time of a call with so many rows
// within so much divergence, on n_cores (as in plan_settings). Tensors in no group get the preset balanced. status:
// unsupported (the budget is too small), invalid_argument (the groups are not of this model).
result<budget_result> choose_formats(const gguf_model & model, const sensitivities & measured, const chip & soc,
                                     budget_kind kind, double budget, size_t rows, int n_cores = 0);

} // namespace rknpu
