// Which channels of a tiny bundled model become outliers, and by which factors.
//
// Invariant: a pure function of (architecture, sizes, seed); the draws repeat numpy's RandomState (MT19937, legacy
// permutation, 53-bit uniforms) one by one, so the outcome equals that of the models' own export, see models/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

// One vector (a norm's weight, or the router's scale) whose channels[i] is multiplied by factors[i], and the matrices
// whose matching input columns are divided by it. A matrix that the model does not have is left out by the caller.
struct outlier_set {
    std::string vector;
    std::vector<std::string> matrices;
    std::vector<int> channels;
    std::vector<double> factors; // 20..60, log-uniform
};

// In the order of the draws: per layer attn_norm, ffn_norm and, with experts, pre_ffw_norm_2 and ffn_gate_inp.scale.
// Needs n_embd >= 8.
std::vector<outlier_set> choose_outliers(int n_embd, int n_layers, bool has_experts, uint32_t seed = 7);

} // namespace rknpu
