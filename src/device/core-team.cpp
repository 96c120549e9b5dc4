// See core-team.h.
#include "device/core-team.h"

#include "base/check.h"
#include "base/log.h"

#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace rknpu {

// Shared with the driver thread, which may outlive the team when its call never returns.
struct core_team::core_state {
    core_state() { sem_init(&submitted, 0, 0); }
    ~core_state() { sem_destroy(&submitted); }
    void announce();
    void sleep(uint64_t ticket, const std::atomic<bool> & hung, std::chrono::steady_clock::time_point deadline);

    // A token's jobs are many and small: a semaphore and a futex take some 500 instructions less for each than two
    // condition variables (scripts/host-cost.sh).
    sem_t submitted;  // a job, or the request to stop
    std::mutex mutex; // of those who submit
    npu_job jobs[queue_length];
    status results[queue_length];
    uint64_t n_submitted = 0;
    std::atomic<uint64_t> n_completed{0};
    std::atomic<uint32_t> n_events{0}; // ends of jobs, and the end of the team: what sleepers sleep on
    std::atomic<int> n_sleepers{0};
    std::atomic<bool> stop{false};
};

namespace {

long futex(std::atomic<uint32_t> & word, int operation, uint32_t value, const timespec * deadline) {
    static_assert(sizeof(word) == 4, "the kernel looks at the value itself");
    return syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
}

status run_job(device & npu, const npu_job & job) {
    if (auto s = job.context->bind(*job.activation, *job.weight, *job.output); !s.ok()) return s;
    if (auto s = job.context->run(); !s.ok()) return s;
    return npu.sync(job.output->whole(), sync_direction::from_device);
}

} // namespace

// A sleeper counts itself before it looks for the end of its job, and the end is told before sleepers are counted: one
// of the two sees the other.
void core_team::core_state::announce() {
    n_events++;
    if (n_sleepers > 0) futex(n_events, FUTEX_WAKE, INT_MAX, nullptr);
}

// Until the job is done, the team has given up or the deadline passes.
void core_team::core_state::sleep(uint64_t ticket, const std::atomic<bool> & hung,
                                  std::chrono::steady_clock::time_point deadline) {
    const auto since = std::chrono::nanoseconds(deadline.time_since_epoch()); // std::chrono's clock is CLOCK_MONOTONIC
    const timespec at = {time_t(since.count() / 1000000000), long(since.count() % 1000000000)};
    n_sleepers++;
    bool in_time = true;
    for (;;) {
        const uint32_t seen = n_events;
        if (n_completed >= ticket || hung || !in_time) break;
        in_time = futex(n_events, FUTEX_WAIT_BITSET, seen, &at) == 0 || errno != ETIMEDOUT;
    }
    n_sleepers--;
}

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
        core->stop = true;
        sem_post(&core->submitted);
    }
    for (auto & thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

void core_team::drive(std::shared_ptr<core_state> state, device & npu) {
    pthread_setname_np(pthread_self(), "rknpu-core"); // as `top -H` shows it
    for (;;) {
        while (sem_wait(&state->submitted) != 0) { // a signal
        }
        if (state->stop) return;
        const size_t at = state->n_completed % queue_length;
        status s = run_job(npu, state->jobs[at]);
        state->results[at] = std::move(s);
        state->n_completed++;
        state->announce();
    }
}

// No core starts another job: what is queued behind a hung one refers to memory that may be gone when it could run.
void core_team::give_up() {
    if (hung_.exchange(true)) return;
    for (auto & core : cores_) {
        core->stop = true;
        sem_post(&core->submitted);
        core->announce();
    }
    for (auto & thread : threads_)
        thread.detach(); // one of them may never return
}

uint64_t core_team::submit(int core, const npu_job & job) {
    core_state & state = *cores_[size_t(core)];
    std::lock_guard<std::mutex> lock(state.mutex);
    RKNPU_CHECK(state.n_submitted - state.n_completed < queue_length, "too many jobs on one core");
    state.jobs[state.n_submitted++ % queue_length] = job;
    sem_post(&state.submitted);
    return state.n_submitted;
}

status core_team::wait(int core, uint64_t ticket) {
    core_state & state = *cores_[size_t(core)];
    const status & result = state.results[(ticket - 1) % queue_length];
    if (spin_.count() > 0 && state.n_completed < ticket) {
        const auto start = std::chrono::steady_clock::now();
        while (state.n_completed < ticket && std::chrono::steady_clock::now() - start < spin_) {
            std::this_thread::yield();
        }
    }
    // The timeout passes in parts: a program that was stopped (Ctrl-Z) sees one part pass at once when it goes on, and
    // the driver thread then has the others to report.
    constexpr int parts = 8;
    for (int i = 0; i < parts && state.n_completed < ticket && !hung_; i++)
        state.sleep(ticket, hung_, std::chrono::steady_clock::now() + timeout_ / parts);
    if (state.n_completed < ticket) {
        give_up();
        return {errc::timeout,
                format_text("core %d did not finish a job in %lld ms", core, (long long)timeout_.count())};
    }
    // Written before its job counted as completed; its place is not used again before the job has been waited for.
    return result;
}

} // namespace rknpu
