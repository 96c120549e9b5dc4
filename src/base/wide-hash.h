// XXH3 with 128 bits, compiled once for each set of CPU instructions: xxHash chooses its loop when it is compiled, and
// a program for every x86-64 CPU would hash with SSE2. Invariant: the values are the same whichever is called.
#pragma once

#include "base/hash.h"

#include <cstddef>

namespace rknpu {

struct wide_hash_code {
    hash128 (*of)(const void * data, size_t bytes);
    void (*add)(void * state, const void * data, size_t bytes); // state: XXH3_state_t
};

#if defined(__x86_64__)
extern const wide_hash_code avx2_wide_hash; // to be called only where the CPU has AVX2
#endif

} // namespace rknpu
