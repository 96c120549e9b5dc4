// One option per group, so that the sum of losses is smallest within a budget of costs: the formats of tensor groups
// within so many bytes, or, with the two exchanged, the fastest formats within so much KL divergence.
//
// Invariant: pure. Losses and costs add up over groups; what is chosen never costs more than the budget.
#pragma once

#include "base/status.h"

#include <cstddef>
#include <vector>

namespace rknpu {

// Both at least 0 and finite.
struct budget_option {
    double cost, loss;
};

struct budget_choice {
    std::vector<size_t> options; // per group, an index into its options
    double cost = 0, loss = 0;   // sums over the groups
};

// groups: each with at least one option. The answer is exact while no more than partial_max combinations of the first
// groups are worth keeping (none cheaper and better), beyond that their front is thinned evenly, and the answer is near
// the best. status: unsupported if even the cheapest options cost more than the budget.
result<budget_choice> choose_within(const std::vector<std::vector<budget_option>> & groups, double budget,
                                    size_t partial_max = 20000);

} // namespace rknpu
