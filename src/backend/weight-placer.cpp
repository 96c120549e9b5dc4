// See weight-placer.h.
#include "backend/weight-placer.h"

#include "base/log.h"
#include "base/units.h"
#include "device/board.h"
#include "layout/layout.h"

#include <algorithm>

namespace rknpu {

namespace {

// Memory of the machine that weights leave alone: KV cache, compute buffers, everybody else.
uint64_t memory_left_alone(uint64_t available) {
    return std::min(uint64_t(512) << 20, available / 8);
}

std::vector<sized_weight> sizes_of(const std::vector<waiting_weight> & weights) {
    std::vector<sized_weight> sizes;
    for (const waiting_weight & w : weights)
        sizes.push_back({ggml_get_name(w.tensor), round_up(reserved_bytes(w.plan), block_align)});
    return sizes;
}

std::string counted(size_t n, const char * what) {
    return format_text("%zu %s%s", n, what, n == 1 ? "" : "s");
}

} // namespace

weight_pool & weight_placer::pool(int domain) {
    auto & slot = pools_[size_t(domain)];
    if (!slot)
        slot = std::make_unique<weight_pool>(npu_.npu(), npu_.ledger(), size_t(npu_.wishes().pool_mib) << 20, domain);
    return *slot;
}

std::vector<uint64_t> weight_placer::rooms(size_t first_domain) const {
    std::vector<uint64_t> rooms(pools_.size(), 0);
    for (size_t d = first_domain; d < rooms.size(); d++)
        rooms[d] = npu_.ledger().room(int(d));
    return rooms;
}

// Linux would rather end programs than refuse memory, so we ask before.
uint64_t weight_placer::total_room() const {
    const uint64_t available = machine_memory().available;
    const uint64_t machine = available ? available - memory_left_alone(available) : UINT64_MAX;
    return std::min(machine, npu_.ledger().available());
}

status weight_placer::place_unit(const placement_unit & unit, int domain, uint64_t expected_bytes) {
    weight_pool & from = pool(domain);
    const weight_pool::mark before = from.here();
    npu_.hold_back_memory(expected_bytes, domain);
    const std::vector<std::vector<size_t>> neighbours = neighbours_of(unit.weights);
    for (const std::vector<size_t> & row : neighbours) {
        for (const size_t i : row) {
            waiting_weight & w = waiting_[i];
            const spacing room = i == row.back() ? spacing::roomy : spacing::close;
            auto made = packed_weight::create(npu_, from, w.plan, expected_bytes, room);
            if (made.ok()) {
                w.t->weight = std::move(made.value());
                expected_bytes -= std::min<uint64_t>(expected_bytes, reserved_bytes(w.plan));
                continue;
            }
            for (const size_t j : unit.weights)
                waiting_[j].t->weight.reset(); // their windows look into what is given back
            from.give_back(before);
            return made.status();
        }
    }
    for (const std::vector<size_t> & row : neighbours)
        merge(row);
    return {};
}

// The weights in their order, but those that one job could take as one side by side.
std::vector<std::vector<size_t>> weight_placer::neighbours_of(const std::vector<size_t> & weights) const {
    std::vector<const matmul_plan *> plans;
    for (const size_t i : weights)
        plans.push_back(&waiting_[i].plan);
    std::vector<std::vector<size_t>> rows = mergeable_rows(plans);
    for (auto & row : rows) {
        for (size_t & i : row)
            i = weights[i];
    }
    return rows;
}

void weight_placer::merge(const std::vector<size_t> & row) {
    std::vector<const packed_weight *> members;
    for (const size_t i : row)
        members.push_back(waiting_[i].t->weight.get());
    const std::shared_ptr<const merged_weight> merged = merged_weight::of(npu_, std::move(members));
    for (const size_t i : row)
        waiting_[i].t->merged = merged;
}

std::vector<waiting_weight> weight_placer::place() {
    if (waiting_.empty()) return {};
    const std::vector<placement_unit> units = placement_units(sizes_of(waiting_));
    std::vector<int> domains = place_units(units, rooms(0), total_room());
    status why(errc::out_of_memory, "no NPU memory is left");
    for (size_t i = 0; i < units.size(); i++) {
        if (domains[i] == no_domain) continue;
        const size_t domain = size_t(domains[i]);
        const bool fresh = !pools_[domain] || pools_[domain]->bytes() == 0;
        uint64_t expected = 0;
        for (size_t j = i; j < units.size(); j++)
            expected += domains[j] == domains[i] ? units[j].bytes : 0;
        const status placed = place_unit(units[i], domains[i], expected);
        if (placed.ok()) continue;
        why = placed;
        // The runtime gives less than the accounts say. Nothing at all in a domain of which nothing is taken means that
        // the machine's memory is at its end; otherwise the following domains take what this one cannot.
        const std::vector<placement_unit> rest(units.begin() + ptrdiff_t(i), units.end());
        const auto again = place_units(rest, rooms(fresh ? pools_.size() : domain + 1), total_room());
        std::copy(again.begin(), again.end(), domains.begin() + ptrdiff_t(i));
        i--;
    }
    say(units, domains, why);
    std::vector<waiting_weight> placed;
    for (waiting_weight & w : waiting_) {
        if (w.t->weight)
            placed.push_back(std::move(w));
        else
            keep_on_cpu(*w.t, w.tensor, why.message());
    }
    waiting_.clear();
    return placed;
}

// One line for the user.
void weight_placer::say(const std::vector<placement_unit> & units, const std::vector<int> & domains,
                        const status & why) const {
    size_t layers = 0, layers_placed = 0, others = 0, others_placed = 0;
    for (size_t i = 0; i < units.size(); i++) {
        const bool placed = domains[i] != no_domain;
        (units[i].layer < 0 ? others : layers)++;
        (units[i].layer < 0 ? others_placed : layers_placed) += placed;
    }
    const std::string text = format_text("%zu of %s", layers_placed, counted(layers, "layer").c_str()) +
                             format_text(" and %zu of %s are", others_placed, counted(others, "other weight").c_str()) +
                             format_text(" on the NPU (%.0f MiB in %s)", in_mib(npu_.ledger().used()),
                                         counted(size_t(npu_.ledger().n_used()), "domain").c_str());
    if (layers == layers_placed && others == others_placed) {
        log_debug("%s", text.c_str());
        return;
    }
    log_warn(
        "%s, the rest is multiplied by the CPU: %s; a smaller model, fewer bits (GGML_RKNPU_FORMAT), less other use "
        "of memory or a larger GGML_RKNPU_MEMORY_MIB helps",
        text.c_str(), why.message().c_str());
}

} // namespace rknpu
