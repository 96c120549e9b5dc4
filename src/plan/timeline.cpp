// See timeline.h.
#include "plan/timeline.h"

#include <algorithm>
#include <limits>

namespace rknpu {

namespace {

constexpr int no_job = -1;
constexpr double never = std::numeric_limits<double>::infinity();
constexpr double done_us = 1e-5; // what rounding may leave of a job, in sums of hours

} // namespace

void timeline::add(int core, const npu_run & job, int domain, double ready_us) {
    cores_[size_t(core)].queue.push_back({job, domain, ready_us, 0});
}

void timeline::hold(int core, double us) {
    cores_[size_t(core)].queue.push_back({{}, no_job, 0, us});
}

double timeline::end_us() const {
    double end = 0;
    for (const core_state & core : cores_)
        end = std::max(end, core.free_us);
    return end;
}

bool timeline::any_active() const {
    return std::any_of(cores_.begin(), cores_.end(), [](const core_state & c) { return c.now != phase::idle; });
}

void timeline::take_holds() {
    for (core_state & core : cores_) {
        while (core.now == phase::idle && !core.queue.empty() && core.queue.front().domain == no_job) {
            core.free_us += core.queue.front().hold_us;
            core.queue.pop_front();
        }
    }
}

// The idle core whose next job is due first, and when it can begin. The others wait behind it.
timeline::next_start timeline::first_waiting() const {
    next_start first = {never, -1};
    for (size_t i = 0; i < cores_.size(); i++) {
        const core_state & core = cores_[i];
        if (core.now != phase::idle || core.queue.empty()) continue;
        const double due = std::max(core.free_us, core.queue.front().ready_us);
        if (due < first.at) first = {due, int(i)};
    }
    if (first.core < 0) return first;
    const int domain = cores_[size_t(first.core)].queue.front().domain;
    if (domain_ >= 0 && domain != domain_) first.at = any_active() ? never : std::max(first.at, end_us());
    return first;
}

// Cores that stream weights now, those of jobs placed earlier included.
int timeline::streaming(double now) const {
    int n = 0;
    for (const core_state & core : cores_)
        n += core.now == phase::work ||
             (core.now == phase::idle && core.streamed_from_us <= now && now < core.streamed_to_us);
    return n;
}

double timeline::rest_us(const core_state & core, int n_streaming) const {
    return core.left * work_us(soc_, core.job, n_streaming, where_);
}

// When anything changes next; never, when nothing is left.
double timeline::next_event(double now) const {
    double next = first_waiting().at;
    if (!any_active()) return next;
    const int n = streaming(now);
    for (const core_state & core : cores_) {
        if (core.now == phase::fixed) next = std::min(next, core.fixed_end_us);
        if (core.now == phase::work) next = std::min(next, now + rest_us(core, n));
        for (const double edge : {core.streamed_from_us, core.streamed_to_us})
            if (core.now == phase::idle && edge > now) next = std::min(next, edge);
    }
    return next;
}

void timeline::advance(double now, double next) {
    const int n = streaming(now);
    for (core_state & core : cores_) {
        if (core.now != phase::work) continue;
        const double rest = rest_us(core, n);
        core.left = rest - (next - now) <= done_us ? 0 : core.left * (1 - (next - now) / rest);
    }
}

void timeline::finish(double now) {
    for (core_state & core : cores_) {
        if (core.now == phase::fixed && core.fixed_end_us <= now) {
            core.now = phase::work;
            core.left = 1;
        } else if (core.now == phase::work && core.left == 0) {
            core.now = phase::idle;
            core.free_us = now;
            core.busy_us += now - core.begin_us;
            core.streamed_from_us = core.fixed_end_us;
            core.streamed_to_us = now;
        }
    }
}

void timeline::begin(core_state & core, double now) {
    const item & next = core.queue.front();
    const bool switched = domain_ >= 0 && next.domain != domain_;
    domain_ = next.domain;
    switches_ += switched;
    core.job = next.job;
    core.begin_us = now + (switched ? switch_us_ : 0);
    const run_cost alone = cost_of(soc_, core.job, 1, where_);
    core.fixed_end_us = core.begin_us + alone.fixed_us;
    core.now = phase::fixed;
    dram_bytes_ += alone.dram_bytes;
    core.queue.pop_front();
}

double timeline::settle() {
    double now = 0;
    for (;;) {
        take_holds();
        for (next_start next = first_waiting(); next.core >= 0 && next.at <= now; next = first_waiting())
            begin(cores_[size_t(next.core)], now);
        const double next = next_event(now);
        if (next == never) return end_us();
        advance(now, next);
        now = next;
        finish(now);
    }
}

} // namespace rknpu
