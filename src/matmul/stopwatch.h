// Adds the lifetime of a scope to a counter.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace rknpu {

class stopwatch {
public:
    // enabled: only one thread of a team measures, or the figure would count the same time several times.
    stopwatch(std::atomic<uint64_t> & counter, bool enabled) : counter_(enabled ? &counter : nullptr) {
        if (counter_) start_ = std::chrono::steady_clock::now();
    }
    ~stopwatch() {
        if (counter_)
            *counter_ += uint64_t(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count());
    }
    stopwatch(const stopwatch &) = delete;

private:
    std::atomic<uint64_t> * counter_;
    std::chrono::steady_clock::time_point start_;
};

} // namespace rknpu
