// See layer-kinds.h.
#include "layer-kinds.h"

#include "plan/policy.h"

#include <algorithm>
#include <map>

namespace rknpu {

namespace {

std::string part_of(const std::string & role) {
    if (role.compare(0, 4, "attn") == 0) return "attention";
    if (role == "ffn_gate_inp") return "router";
    if (role.find("_exps") != std::string::npos) return "experts";
    return role.compare(0, 3, "ffn") == 0 ? "dense ffn" : role;
}

void add(layer_kind & kind, const std::string & role, const timed_weight & w) {
    const std::string name = part_of(role);
    auto part =
        std::find_if(kind.parts.begin(), kind.parts.end(), [&](const timed_part & p) { return p.name == name; });
    if (part == kind.parts.end()) part = kind.parts.insert(part, {name});
    for (timed_part * p : {&*part, &kind.sum}) {
        p->us_1 += w.us_1;
        p->us_batch += w.us_batch;
    }
}

} // namespace

std::vector<layer_kind> layer_kinds(const std::vector<timed_weight> & weights) {
    struct layer {
        std::string alike;
        layer_kind kind;
    };
    std::map<int, layer> layers;
    layer_kind others;
    for (const timed_weight & w : weights) {
        const tensor_role role = role_of(w.name);
        if (role.layer < 0) {
            add(others, role.name, w);
            continue;
        }
        layer & l = layers[role.layer];
        l.alike += role.name + " " + w.alike + "\n";
        add(l.kind, role.name, w);
    }
    std::vector<layer_kind> kinds;
    std::map<std::string, size_t> known; // a kind by what its layers are alike in
    for (auto & [number, l] : layers) {
        const auto [at, is_new] = known.try_emplace(l.alike, kinds.size());
        if (is_new) kinds.push_back(std::move(l.kind));
        kinds[at->second].layers.push_back(number);
    }
    if (!others.parts.empty()) kinds.push_back(std::move(others));
    return kinds;
}

} // namespace rknpu
