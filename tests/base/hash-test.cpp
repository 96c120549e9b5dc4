// The wide hash is XXH3 whatever instructions the CPU has, at once and in parts: a PC packs files for boards.
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace rknpu {
namespace {

std::vector<uint8_t> some_bytes(size_t bytes) {
    std::vector<uint8_t> data(bytes);
    uint32_t x = 12345;
    for (uint8_t & b : data)
        b = uint8_t((x = x * 1664525 + 1013904223) >> 24);
    return data;
}

TEST(wide_hash, is_that_of_the_library_compiled_for_every_cpu) {
    for (const size_t bytes : {0, 1, 16, 17, 128, 240, 241, 1023, 1024, 1025, 100000, 1 << 20}) {
        const std::vector<uint8_t> data = some_bytes(bytes);
        const XXH128_hash_t wanted = XXH3_128bits(data.data(), bytes);
        EXPECT_EQ(hash_of(data.data(), bytes).text(), (hash128{wanted.low64, wanted.high64}.text())) << bytes;
        for (const size_t part : {7, 256, 1000, 65536}) {
            wide_hasher h;
            for (size_t at = 0; at < bytes; at += part)
                h.add(data.data() + at, std::min(part, bytes - at));
            EXPECT_EQ(h.value().text(), hash_of(data.data(), bytes).text()) << bytes << " in parts of " << part;
        }
    }
}

TEST(wide_hash, in_parallel_is_the_hash_of_the_hashes_of_pieces) {
    constexpr size_t piece = size_t(1) << 20;
    const std::vector<uint8_t> data = some_bytes(9 * piece + 5);
    std::vector<uint64_t> hashes;
    for (size_t at = 0; at < data.size(); at += piece) {
        const XXH128_hash_t h = XXH3_128bits(&data[at], std::min(piece, data.size() - at));
        hashes.insert(hashes.end(), {h.low64, h.high64});
    }
    EXPECT_EQ(parallel_hash(data.data(), data.size()).text(), hash_of(hashes.data(), hashes.size() * 8).text());
}

} // namespace
} // namespace rknpu
