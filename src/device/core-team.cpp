// See core-team.h.
#include "device/core-team.h"

#include "base/check.h"
#include "base/log.h"

#include <pthread.h>

namespace rknpu {

// Shared with the driver thread, which may outlive the team when its call never returns.
struct core_team::core_state {
    std::mutex mutex;
    std::condition_variable submitted, completed;
    npu_job jobs[queue_length];
    status results[queue_length];
    uint64_t n_submitted = 0;
    std::atomic<uint64_t> n_completed{0};
    bool stop = false;
};

namespace {

status run_job(device & npu, const npu_job & job) {
    if (auto s = job.context->bind(*job.activation, *job.weight, *job.output); !s.ok()) return s;
    if (auto s = job.context->run(); !s.ok()) return s;
    return npu.sync(*job.output, sync_direction::from_device);
}

} // namespace

core_team::core_team(device & npu, int n_cores, std::chrono::milliseconds timeout, std::chrono::microseconds spin)
    : timeout_(timeout), spin_(spin) {
    try {
        for (int i = 0; i < n_cores; i++) {
            cores_.push_back(std::make_shared<core_state>());
            threads_.emplace_back(drive, cores_.back(), std::ref(npu));
        }
    } catch (...) { // a limit on threads: the caller turns it into a status
        stop();
        throw;
    }
}

core_team::~core_team() {
    stop();
}

void core_team::stop() {
    for (auto & core : cores_) {
        std::lock_guard<std::mutex> lock(core->mutex);
        core->stop = true;
        core->submitted.notify_all();
    }
    for (auto & thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

void core_team::drive(std::shared_ptr<core_state> state, device & npu) {
    pthread_setname_np(pthread_self(), "rknpu-core"); // as `top -H` shows it
    std::unique_lock<std::mutex> lock(state->mutex);
    for (;;) {
        state->submitted.wait(lock, [&] { return state->stop || state->n_submitted > state->n_completed; });
        if (state->stop) return;
        const size_t at = state->n_completed % queue_length;
        const npu_job job = state->jobs[at];
        lock.unlock();
        status s = run_job(npu, job);
        lock.lock();
        state->results[at] = std::move(s);
        state->n_completed++;
        state->completed.notify_all();
    }
}

// No core starts another job: what is queued behind a hung one refers to memory that may be gone when it could run.
void core_team::give_up() {
    if (hung_.exchange(true)) return;
    for (auto & core : cores_) {
        std::lock_guard<std::mutex> lock(core->mutex);
        core->stop = true;
        core->submitted.notify_all();
        core->completed.notify_all();
    }
    for (auto & thread : threads_)
        thread.detach(); // one of them may never return
}

uint64_t core_team::submit(int core, const npu_job & job) {
    core_state & state = *cores_[size_t(core)];
    std::lock_guard<std::mutex> lock(state.mutex);
    RKNPU_CHECK(state.n_submitted - state.n_completed < queue_length, "too many jobs on one core");
    state.jobs[state.n_submitted++ % queue_length] = job;
    state.submitted.notify_one();
    return state.n_submitted;
}

status core_team::wait(int core, uint64_t ticket) {
    core_state & state = *cores_[size_t(core)];
    const auto start = std::chrono::steady_clock::now();
    while (state.n_completed < ticket && std::chrono::steady_clock::now() - start < spin_) {
        std::this_thread::yield();
    }
    std::unique_lock<std::mutex> lock(state.mutex);
    const auto done = [&] { return state.n_completed >= ticket || hung_; };
    // The timeout passes in parts: a program that was stopped (Ctrl-Z) sees one part pass at once when it goes on, and
    // the driver thread then has the others to report.
    constexpr int parts = 8;
    for (int i = 0; i < parts && !state.completed.wait_for(lock, timeout_ / parts, done); i++) {
    }
    if (state.n_completed < ticket) {
        lock.unlock();
        give_up();
        return {errc::timeout,
                format_text("core %d did not finish a job in %lld ms", core, (long long)timeout_.count())};
    }
    return state.results[(ticket - 1) % queue_length];
}

} // namespace rknpu
