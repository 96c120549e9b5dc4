// Which IOMMU domain each layer of a model goes to.
//
// A unit is what must not be torn apart: the weights of one layer, or one weight that belongs to none. The NPU sees one
// domain at a time, and switching makes all cores idle; so units lie in the domains in the order in which a token uses
// them, and a token switches at most once for each domain. Weights of no layer (the output head, projections of the
// embeddings) come first: in the domain of the first layers they cost no switch of their own, for the next token begins
// there anyway, and every token reads them whole, so they are the last to stay on the CPU.
// Invariant: pure; no domain gets more than its room, all together no more than the total.
#pragma once

#include "plan/chip.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

constexpr int no_domain = -1; // on the CPU

// Most bytes of weights, in one domain and in all. Some address space of a domain is for staging and the runtime's own
// needs; the vendor gives no figure: contexts take 0.3-0.5 MB each (measured by pty819/rk-llama.cpp), staging up to 32
// MiB an allocation. domain_mib, memory_mib: the user's limits; 0: none.
struct weight_limits {
    uint64_t domain, total;
};
weight_limits limit_weights(const chip & soc, uint64_t domain_mib, uint64_t memory_mib);

struct sized_weight {
    std::string name; // as in the GGUF file
    uint64_t bytes;   // of NPU memory
};

struct placement_unit {
    int layer; // -1: a weight that belongs to none
    uint64_t bytes;
    std::vector<size_t> weights; // indices
};

// The units in the order in which they are placed; weights keep their order in a unit.
std::vector<placement_unit> placement_units(const std::vector<sized_weight> & weights);

// The domain of each unit. A unit that finds room neither in the domain of the one before nor in a later one gets
// no_domain; smaller ones behind it may still find room.
std::vector<int> place_units(const std::vector<placement_unit> & units, std::vector<uint64_t> room, uint64_t total);

} // namespace rknpu
