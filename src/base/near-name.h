// What a user may have meant: the known name that is nearest to a mistyped one.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rknpu {

// The known name with the smallest edit distance to name (the first of equals), or "" if that exceeds distance_max.
std::string near_name(const std::vector<std::string> & known, const std::string & name, size_t distance_max);

} // namespace rknpu
