// When the jobs of several cores run: the schedule behind the emulator's clock and the predictor. Virtual microseconds.
//
// Model: each core has a queue and does one job at a time, in the order given. Weights stream at a rate that is shared
// by the cores that stream at that moment; the fixed cost of a run streams nothing. The NPU sees one domain at a time:
// a job of another one waits until all cores are idle, then pays for the switch; nobody overtakes it meanwhile.
// Invariant: the outcome depends on the jobs of each queue and on the calls of settle() between them, not on the order
// in which the queues were filled. What settle() has placed never moves again: a later job that overlaps it shares the
// rate with it, but does not slow it down.
#pragma once

#include "plan/cost.h"

#include <array>
#include <cstdint>
#include <deque>

namespace rknpu {

constexpr int timeline_cores_max = 4;

class timeline {
public:
    explicit timeline(const chip & soc, const conditions & where = {}) : timeline(soc, where, soc.domain_switch_us) {}
    timeline(const chip & soc, const conditions & where, double domain_switch_us)
        : soc_(soc), where_(where), switch_us_(domain_switch_us) {}

    // A job at the end of a core's queue, not to begin before ready_us.
    void add(int core, const npu_run & job, int domain, double ready_us);
    // The core's driver thread is busy with something else: the next job of this core begins so much later.
    void hold(int core, double us);

    // Places all that is queued; when the last of everything ends.
    double settle();

    // Of what has been placed.
    double end_us() const;
    double end_us(int core) const { return cores_[size_t(core)].free_us; }
    double busy_us(int core) const { return cores_[size_t(core)].busy_us; } // jobs with their fixed costs
    double switch_us() const { return double(switches_) * switch_us_; }
    uint64_t switches() const { return switches_; }
    double dram_bytes() const { return dram_bytes_; }

private:
    struct item {
        npu_run job;
        int domain; // no_job: a hold
        double ready_us;
        double hold_us;
    };
    enum class phase { idle, fixed, work };
    struct core_state {
        std::deque<item> queue;
        phase now = phase::idle;
        npu_run job;
        double begin_us = 0, fixed_end_us = 0;
        double left = 0;    // of the work, 1 to 0
        double free_us = 0; // end of what has been placed
        double busy_us = 0;
        double streamed_from_us = 0, streamed_to_us = 0; // work of the last job that was placed
    };
    struct next_start {
        double at; // infinity: only when other jobs have ended
        int core;  // -1: no core waits
    };

    void take_holds();
    next_start first_waiting() const;
    bool any_active() const;
    int streaming(double now) const;
    double rest_us(const core_state & core, int n_streaming) const;
    double next_event(double now) const;
    void advance(double now, double next);
    void finish(double now);
    void begin(core_state & core, double now);

    chip soc_;
    conditions where_;
    double switch_us_;
    std::array<core_state, timeline_cores_max> cores_;
    int domain_ = -1; // none yet
    uint64_t switches_ = 0;
    double dram_bytes_ = 0;
};

} // namespace rknpu
