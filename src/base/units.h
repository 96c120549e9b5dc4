// Units of what a user reads.
#pragma once

#include <cstdint>

namespace rknpu {

inline double in_mib(uint64_t bytes) {
    return double(bytes) / (1 << 20);
}

} // namespace rknpu
