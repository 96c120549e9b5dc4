// See hash.h. xxHash is compiled in, so that the plugin needs no library beside it.
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rknpu {

struct hasher::state {
    XXH64_state_t xxh;
};

hasher::hasher() : state_(new state) {
    XXH64_reset(&state_->xxh, 0);
}
hasher::~hasher() = default;

void hasher::add(const void * data, size_t bytes) {
    if (bytes) XXH64_update(&state_->xxh, data, bytes);
}

uint64_t hasher::value() const {
    return XXH64_digest(&state_->xxh);
}

} // namespace rknpu
