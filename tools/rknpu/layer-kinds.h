// Modelled NPU time by kind of layer: layers whose weights have the same shapes and plans are one kind.
//
// Invariant: pure; every weight is counted once, and the kinds add up to the sum of all.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rknpu {

// A weight on the NPU. alike: equal texts mean equal shapes and plans.
struct timed_weight {
    std::string name, alike;
    double us_1, us_batch; // modelled: one row, and a batch
};

struct timed_part {
    std::string name; // attention, dense ffn, router, experts, or a role by its own name
    double us_1 = 0, us_batch = 0;
};

struct layer_kind {
    std::vector<int> layers;       // in order; empty: weights that belong to none
    std::vector<timed_part> parts; // of one layer, in the order of the file
    timed_part sum;                // of these, one layer
};

// In the order of their first layers; weights of no layer come last.
std::vector<layer_kind> layer_kinds(const std::vector<timed_weight> & weights);

} // namespace rknpu
