// See near-name.h.
#include "base/near-name.h"

#include <algorithm>

namespace rknpu {

namespace {

size_t edit_distance(const std::string & a, const std::string & b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size(); i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); j++) {
            const size_t above = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

} // namespace

std::string near_name(const std::vector<std::string> & known, const std::string & name, size_t distance_max) {
    std::string nearest;
    size_t best = distance_max + 1;
    for (const std::string & candidate : known) {
        const size_t distance = edit_distance(candidate, name);
        if (distance >= best) continue;
        best = distance;
        nearest = candidate;
    }
    return nearest;
}

} // namespace rknpu
