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
        if (counter_) add(std::chrono::steady_clock::now());
    }
    stopwatch(const stopwatch &) = delete;

    // What follows counts for another counter; the clock is read once for both.
    void next(std::atomic<uint64_t> & counter) {
        if (!counter_) return;
        const auto now = std::chrono::steady_clock::now();
        add(now);
        counter_ = &counter;
        start_ = now;
    }

private:
    void add(std::chrono::steady_clock::time_point now) {
        *counter_ += uint64_t(std::chrono::nanoseconds(now - start_).count());
    }

    std::atomic<uint64_t> * counter_;
    std::chrono::steady_clock::time_point start_;
};

} // namespace rknpu
