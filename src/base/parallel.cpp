// See parallel.h.
#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace rknpu {

void parallel_for(size_t count, size_t grain, const std::function<void(size_t, size_t)> & body) {
    if (count == 0) return;
    grain = std::max<size_t>(grain, 1);
    const size_t n_chunks = (count + grain - 1) / grain;
    const size_t n_threads = std::min<size_t>(n_chunks, std::max(1u, std::thread::hardware_concurrency()));
    std::atomic<size_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto work = [&] {
        for (size_t chunk; (chunk = next.fetch_add(1)) < n_chunks;) {
            try {
                body(chunk * grain, std::min(count, (chunk + 1) * grain));
            } catch (...) {
                std::lock_guard<std::mutex> lock(failure_mutex);
                if (!failure) failure = std::current_exception();
            }
        }
    };
    std::vector<std::thread> threads;
    try {
        for (size_t i = 1; i < n_threads; i++)
            threads.emplace_back(work);
    } catch (const std::system_error &) { // a limit on threads: those that there are do the work
    }
    work();
    for (auto & thread : threads)
        thread.join();
    if (failure) std::rethrow_exception(failure);
}

} // namespace rknpu
