// See placement.h.
#include "plan/placement.h"

#include "plan/policy.h"

#include <algorithm>
#include <map>

namespace rknpu {

weight_limits limit_weights(const chip & soc, uint64_t domain_mib, uint64_t memory_mib) {
    constexpr uint64_t staging_bytes = uint64_t(256) << 20;
    const uint64_t domain = soc.domain_bytes - staging_bytes;
    return {domain_mib ? std::min(domain, domain_mib << 20) : domain, memory_mib ? memory_mib << 20 : UINT64_MAX};
}

std::vector<placement_unit> placement_units(const std::vector<sized_weight> & weights) {
    std::vector<placement_unit> units;
    std::map<int, placement_unit> layers;
    for (size_t i = 0; i < weights.size(); i++) {
        const int layer = role_of(weights[i].name).layer;
        if (layer < 0) {
            units.push_back({-1, weights[i].bytes, {i}});
            continue;
        }
        placement_unit & unit = layers.try_emplace(layer, placement_unit{layer, 0, {}}).first->second;
        unit.bytes += weights[i].bytes;
        unit.weights.push_back(i);
    }
    for (auto & [layer, unit] : layers)
        units.push_back(std::move(unit));
    return units;
}

std::vector<int> place_units(const std::vector<placement_unit> & units, std::vector<uint64_t> room, uint64_t total) {
    std::vector<int> domains;
    size_t current = 0;
    for (const placement_unit & unit : units) {
        size_t domain = current;
        while (domain < room.size() && room[domain] < unit.bytes)
            domain++;
        if (domain == room.size() || unit.bytes > total) {
            domains.push_back(no_domain);
            continue;
        }
        room[domain] -= unit.bytes;
        total -= unit.bytes;
        domains.push_back(int(current = domain));
    }
    return domains;
}

} // namespace rknpu
