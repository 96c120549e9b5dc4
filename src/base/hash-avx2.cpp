// See wide-hash.h. Compiled for AVX2, so it must hold no inline function that others might share.
#include "base/wide-hash.h"

#if defined(__x86_64__)

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rknpu {

namespace {

hash128 hash_at_once(const void * data, size_t bytes) {
    const XXH128_hash_t h = XXH3_128bits(data, bytes);
    return {h.low64, h.high64};
}

void add_to(void * state, const void * data, size_t bytes) {
    XXH3_128bits_update(static_cast<XXH3_state_t *>(state), data, bytes);
}

} // namespace

const wide_hash_code avx2_wide_hash = {hash_at_once, add_to};

} // namespace rknpu

#endif
