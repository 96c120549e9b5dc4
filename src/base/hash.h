// Checksums of bulk data in files: xxHash64, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

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

} // namespace rknpu
