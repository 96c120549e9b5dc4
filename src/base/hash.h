// Checksums of bulk data in files, the same on every machine: xxHash64, and XXH3 with 128 bits where contents are found
// by their hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>

namespace rknpu {

class hasher {
public:
    hasher();
    ~hasher();
    void add(const void * data, size_t bytes);
    uint64_t value() const; // of all that was added so far

private:
    struct state;
    std::unique_ptr<state> state_;
};

struct hash128 {
    uint64_t low = 0, high = 0;

    bool operator==(const hash128 & other) const { return low == other.low && high == other.high; }
    bool operator<(const hash128 & other) const { return std::tie(high, low) < std::tie(other.high, other.low); }
    std::string text() const; // 32 hexadecimal digits
};

class wide_hasher {
public:
    wide_hasher();
    ~wide_hasher();
    void add(const void * data, size_t bytes);
    hash128 value() const; // of all that was added so far

private:
    struct state;
    std::unique_ptr<state> state_;
};

hash128 hash_of(const void * data, size_t bytes);

// Of large data on all CPU threads: the hash of the hashes of its pieces of 1 MiB.
hash128 parallel_hash(const void * data, size_t bytes);

} // namespace rknpu
