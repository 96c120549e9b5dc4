// The pool; see workers.h. Pieces are large (10 us and more), so one mutex serves all.
#include "workers.h"

#include "settings.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace rknn_emu {

namespace {

struct batch {
    const std::function<void(size_t)> * body;
    size_t count;
    size_t next = 0;
    size_t done = 0;
};

class pool {
public:
    void run(size_t count, const std::function<void(size_t)> & body) {
        batch own{&body, count};
        std::unique_lock<std::mutex> lock(mutex_);
        start_threads();
        batches_.push_back(&own);
        wake_.notify_all();
        while (own.next < own.count)
            work_on(own, lock);
        done_.wait(lock, [&] { return own.done == own.count; });
    }

private:
    void start_threads() {
        for (; n_threads_ < config().threads - 1; n_threads_++)
            std::thread([this] { serve(); }).detach();
    }

    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return !batches_.empty() && active_ < config().threads; });
            work_on(*batches_.front(), lock);
        }
    }

    // Takes one piece of b (which has one left) and does it with the lock released.
    void work_on(batch & b, std::unique_lock<std::mutex> & lock) {
        const size_t piece = b.next++;
        if (b.next == b.count) remove(b);
        active_++;
        lock.unlock();
        (*b.body)(piece);
        lock.lock();
        active_--;
        if (++b.done == b.count) done_.notify_all();
        if (!batches_.empty()) wake_.notify_one();
    }

    void remove(batch & b) {
        for (auto it = batches_.begin(); it != batches_.end(); ++it) {
            if (*it != &b) continue;
            batches_.erase(it);
            return;
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::deque<batch *> batches_; // those with pieces nobody has taken
    int n_threads_ = 0;
    int active_ = 0;
};

} // namespace

void run_pieces(size_t count, const std::function<void(size_t)> & body) {
    if (count <= 1 || config().threads == 1) {
        for (size_t i = 0; i < count; i++)
            body(i);
        return;
    }
    static pool * const all = new pool; // never destroyed: its threads wait in it until the process is gone
    all->run(count, body);
}

} // namespace rknn_emu
