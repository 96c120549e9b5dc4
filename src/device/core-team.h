// One driver thread per NPU core: takes jobs, binds, runs, syncs, reports. The threads that wait are the caller's.
//
// Invariant: a caller never blocks longer than the timeout, whatever the driver does. A core that does not answer in
// time is given up for good (its thread stays in the runtime's call), and with it the whole team: the jobs of a hung
// NPU may still write into their memory, so that memory is abandoned, never reused.
#pragma once

#include "device/device.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rknpu {

// What a core needs for one job. The memories were synced to the device where the CPU wrote them; the output is synced
// from the device before the job counts as done.
struct npu_job {
    job_context * context;
    device_memory * activation;
    device_memory * weight;
    device_memory * output;
};

class core_team {
public:
    // Jobs that one core may hold at a time, the running one included.
    static constexpr size_t queue_length = 4;

    // Throws std::system_error where no thread can be had.
    core_team(device & npu, int n_cores, std::chrono::milliseconds timeout, std::chrono::microseconds spin);
    ~core_team();
    core_team(const core_team &) = delete;

    int n_cores() const { return int(cores_.size()); }
    // Hands a job to a core and returns its ticket (> 0). At most queue_length jobs may be waited for at a time.
    uint64_t submit(int core, const npu_job & job);
    // Waits for a ticket: what the job came to, or errc::timeout. May be called by several threads for one ticket.
    status wait(int core, uint64_t ticket);
    // True once a wait timed out: the device must be abandoned.
    bool hung() const { return hung_; }

private:
    struct core_state;
    void stop();
    void give_up();
    static void drive(std::shared_ptr<core_state> state, device & npu);

    std::vector<std::shared_ptr<core_state>> cores_;
    std::vector<std::thread> threads_;
    std::chrono::milliseconds timeout_;
    std::chrono::microseconds spin_;
    std::atomic<bool> hung_{false};
};

} // namespace rknpu
