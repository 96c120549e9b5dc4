// Everything that exists once for an opened NPU: the device, its driver threads, its locks and accounts.
//
// Invariant: after the NPU has hung or failed too often the engine is retired: no job is given to it again in this
// process, and everything is computed on the CPU. It never comes back by itself.
#pragma once

#include "base/settings.h"
#include "device/core-team.h"
#include "device/npu-lock.h"
#include "matmul/capture.h"
#include "matmul/counters.h"
#include "matmul/job-cache.h"
#include "memory/pool.h"
#include "plan/plan.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace rknpu {

class engine {
public:
    // Opens the NPU that the settings and the machine offer. status: not_found with an empty message where there is
    // nothing to be said (no Rockchip board, no runtime asked for); anything else is for the user to read.
    static result<std::unique_ptr<engine>> open(const settings & wishes);
    // Multiplies small known matrices on every core and compares. status: incompatible if a product is wrong; where
    // only int4 is, the planner does without.
    status self_test();
    // For tests: an engine over a given device.
    engine(std::unique_ptr<device> npu, const settings & wishes);

    const device_info & info() const { return device_->info(); }
    const plan_settings & planning() const { return planning_; }
    const settings & wishes() const { return settings_; }
    device & npu() { return *device_; }
    core_team & team() { return *team_; }
    npu_lock & lock() { return lock_; }
    domain_ledger & ledger() { return ledger_; }
    job_cache & jobs() { return *job_cache_; }
    counters & count() { return counters_; }
    activation_capture * capture() { return capture_.get(); } // nullptr: nothing is captured

    // While weights are loaded, some memory is held back for what their jobs will need: without it a machine whose
    // memory is full of weights could run none of them. Held from the first weight on, released before jobs are
    // prepared.
    void hold_back_memory(size_t weight_bytes, int domain = 0);
    void release_memory();

    // Notes the domain of the next job; true if the job before was of another one. Used under the lock.
    bool enters_domain(int domain) {
        const int before = std::exchange(domain_, domain);
        return before >= 0 && before != domain;
    }

    // Makes the NPU see what was loaded into a pool; false if it cannot.
    bool make_visible(weight_pool & pool);

    bool retired() const { return retired_; }
    // Accounts for the end of a job of a core; logs the 1st, 2nd, 4th, 8th failure and so on, and retires the engine
    // after a hang or after several failures in a row of one core.
    void note_job(int core, const status & outcome);
    // The same for a cache sync, which belongs to no core.
    void note_sync(const status & outcome) { note_job(info().soc->n_cores, outcome); }

private:
    status start_capture();
    void retire(const std::string & why);

    settings settings_;
    plan_settings planning_;
    counters counters_;
    std::unique_ptr<activation_capture> capture_;
    std::unique_ptr<device> device_;
    domain_ledger ledger_;
    npu_lock lock_;
    std::mutex held_back_mutex_;                              // models are loaded while others compute
    std::map<int, std::unique_ptr<device_memory>> held_back_; // by domain
    std::unique_ptr<job_cache> job_cache_;                    // before the team: the team's threads use its contexts
    std::unique_ptr<core_team> team_;
    std::vector<std::atomic<int>> failures_in_a_row_; // of each core, and of syncs
    int domain_ = -1;                                 // of the last job
    std::atomic<bool> retired_{false};
};

} // namespace rknpu
