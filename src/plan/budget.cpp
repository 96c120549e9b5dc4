// See budget.h. The front of combinations that are worth keeping grows group by group.
#include "plan/budget.h"

#include "base/check.h"
#include "base/log.h"

#include <algorithm>

namespace rknpu {

namespace {

// A combination of options of the first groups: the last group's option, and the combination of those before it.
struct combination {
    double cost, loss;
    size_t option, before;
};

// Keeps those that no other beats in both, by rising cost and so falling loss.
void keep_front(std::vector<combination> & all) {
    std::stable_sort(all.begin(), all.end(), [](const combination & a, const combination & b) {
        return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss;
    });
    size_t kept = 0;
    for (const combination & c : all) {
        if (kept == 0 || c.loss < all[kept - 1].loss) all[kept++] = c;
    }
    all.resize(kept);
}

// The first (cheapest) and the last (best) always stay.
void thin(std::vector<combination> & front, size_t max) {
    if (front.size() <= max) return;
    for (size_t i = 0; i < max; i++)
        front[i] = front[i * (front.size() - 1) / (max - 1)];
    front.resize(max);
}

double cheapest(const std::vector<budget_option> & options) {
    return std::min_element(options.begin(), options.end(),
                            [](const auto & a, const auto & b) { return a.cost < b.cost; })
        ->cost;
}

} // namespace

result<budget_choice> choose_within(const std::vector<std::vector<budget_option>> & groups, double budget,
                                    size_t partial_max) {
    RKNPU_CHECK(partial_max >= 2, "a front has two ends");
    double cost_of_rest = 0; // at least, of the groups that are still to come
    for (const auto & options : groups) {
        RKNPU_CHECK(!options.empty(), "a group without options");
        cost_of_rest += cheapest(options);
    }
    const double slack = 1e-9 * (budget + cost_of_rest); // of sums in another order
    if (cost_of_rest > budget + slack)
        return status(
            errc::unsupported,
            format_text("even the cheapest choice costs %.6g, more than the budget of %.6g", cost_of_rest, budget));
    std::vector<std::vector<combination>> fronts = {{{0, 0, 0, 0}}};
    for (const auto & options : groups) {
        cost_of_rest -= cheapest(options);
        std::vector<combination> next;
        const std::vector<combination> & front = fronts.back();
        for (size_t before = 0; before < front.size(); before++) {
            for (size_t o = 0; o < options.size(); o++) {
                const double cost = front[before].cost + options[o].cost;
                if (cost + cost_of_rest > budget + slack) continue;
                next.push_back({cost, front[before].loss + options[o].loss, o, before});
            }
        }
        keep_front(next);
        thin(next, partial_max);
        fronts.push_back(std::move(next));
    }
    budget_choice best;
    best.options.resize(groups.size());
    size_t at = fronts.back().size() - 1; // the dearest of the last front has the smallest loss
    best.cost = fronts.back()[at].cost;
    best.loss = fronts.back()[at].loss;
    for (size_t g = groups.size(); g > 0; g--) {
        best.options[g - 1] = fronts[g][at].option;
        at = fronts[g][at].before;
    }
    return best;
}

} // namespace rknpu
