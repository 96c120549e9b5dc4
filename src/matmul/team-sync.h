// How the threads of a team (ggml's, not ours) wait for each other inside one node.
//
// Invariant: nobody waits for a thread that has failed: it gives up, and the others throw.
#pragma once

#include "base/check.h"

#include <atomic>
#include <thread>

namespace rknpu {

class team_sync {
public:
    // Called by one thread before the team starts.
    void reset() {
        broken_ = false;
        arrived_ = 0;
    }
    // For a thread that failed.
    void give_up() { broken_ = true; }

    // Waits for a condition that another thread of the team brings about.
    template <class F> void wait_until(F && condition) const {
        while (!condition()) {
            RKNPU_CHECK(!broken_, "another thread of the team has failed");
            std::this_thread::yield();
        }
    }
    // Waits until all nth threads are here.
    void barrier(int nth) {
        const unsigned round = round_;
        if (arrived_.fetch_add(1) + 1 == nth) {
            arrived_ = 0;
            round_++;
        } else {
            wait_until([&] { return round_ != round; });
        }
    }
    // Runs a thread's part of the work; what it throws ends the others' waiting.
    template <class F> void guard(F && body) {
        try {
            body();
        } catch (...) {
            give_up();
            throw;
        }
    }

private:
    std::atomic<bool> broken_{false};
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};

} // namespace rknpu
