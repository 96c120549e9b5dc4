// See hash.h. xxHash is compiled in, so that the plugin needs no library beside it.
#include "base/hash.h"

#include "base/parallel.h"
#include "base/wide-hash.h"

#include <algorithm>
#include <cstdio>
#include <vector>

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

constexpr wide_hash_code plain_wide_hash = {hash_at_once, add_to};

const wide_hash_code & wide_hash_for_this_cpu() {
#if defined(__x86_64__)
    static const bool has_avx2 = __builtin_cpu_supports("avx2");
    if (has_avx2) return avx2_wide_hash;
#endif
    return plain_wide_hash;
}

} // namespace

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

std::string hash128::text() const {
    char digits[33];
    std::snprintf(digits, sizeof(digits), "%016llx%016llx", (unsigned long long)high, (unsigned long long)low);
    return digits;
}

struct wide_hasher::state {
    XXH3_state_t xxh;
};

wide_hasher::wide_hasher() : state_(new state) {
    XXH3_128bits_reset(&state_->xxh);
}
wide_hasher::~wide_hasher() = default;

void wide_hasher::add(const void * data, size_t bytes) {
    if (bytes) wide_hash_for_this_cpu().add(&state_->xxh, data, bytes);
}

hash128 wide_hasher::value() const {
    const XXH128_hash_t h = XXH3_128bits_digest(&state_->xxh);
    return {h.low64, h.high64};
}

hash128 hash_of(const void * data, size_t bytes) {
    return wide_hash_for_this_cpu().of(data, bytes);
}

hash128 parallel_hash(const void * data, size_t bytes) {
    constexpr size_t piece = size_t(1) << 20;
    const uint8_t * from = static_cast<const uint8_t *>(data);
    std::vector<uint64_t> hashes(2 * ((bytes + piece - 1) / piece));
    parallel_for(hashes.size() / 2, 4, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; i++) {
            const hash128 h = hash_of(from + i * piece, std::min(piece, bytes - i * piece));
            hashes[2 * i] = h.low;
            hashes[2 * i + 1] = h.high;
        }
    });
    return hash_of(hashes.data(), hashes.size() * sizeof(uint64_t));
}

} // namespace rknpu
