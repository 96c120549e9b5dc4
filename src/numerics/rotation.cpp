// See rotation.h.
#include "numerics/rotation.h"

#include "base/check.h"
#include "kernels/kernels.h"

namespace rknpu {

namespace {

// splitmix64: a counter-based generator whose output is the same everywhere (unlike std::hash and std distributions).
uint64_t splitmix64(uint64_t & state) {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

} // namespace

void rotation::apply(float * row, size_t K) const {
    if (block) kernels::hadamard_rows(row, signs.data(), K, block);
}

// The inverse of y = H (s . x) is x = s . (H y): transform without signs, then flip them.
void rotation::undo(float * row, size_t K) const {
    if (!block) return;
    const std::vector<uint8_t> plus(signs.size(), 0);
    kernels::hadamard_rows(row, plus.data(), K, block);
    for (size_t k = 0; k < K; k++) {
        if (signs[k / 8] >> (k % 8) & 1) row[k] = -row[k];
    }
}

rotation make_rotation(size_t K, size_t block, uint64_t seed) {
    rotation r;
    r.block = block;
    if (!block) return r;
    RKNPU_CHECK((block & (block - 1)) == 0 && K % block == 0, "rotation block must be a power of two that divides K");
    r.signs.resize((K + 7) / 8);
    uint64_t state = seed ^ (uint64_t(K) * 0xd6e8feb86659fd93ull);
    for (auto & byte : r.signs)
        byte = uint8_t(splitmix64(state) >> 56);
    return r;
}

} // namespace rknpu
