// See clock.h.
#include "clock.h"

#include "plan/energy.h"
#include "plan/timeline.h"
#include "settings.h"
#include "stats.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace rknn_emu {

namespace {

struct virtual_clock {
    std::mutex mutex;
    rknpu::timeline cores{*config().chip, config().board, config().switch_us};
    double host_us = 0;
    double calls_us = 0;

    double call_us(uint64_t bytes) {
        const double us = config().call_us + double(bytes) / config().sync_gb_s * 1e-3;
        calls_us += us;
        return us;
    }
};

virtual_clock & now() {
    static virtual_clock * const c = new virtual_clock; // never destroyed: jobs may run until the process is gone
    return *c;
}

thread_local int last_core = -1; // of this thread's last run

// A call that this thread, or the host, is busy with; when it is over, 0 where the core's queue knows.
double spend(uint64_t bytes) {
    virtual_clock & c = now();
    std::lock_guard<std::mutex> lock(c.mutex);
    const double us = c.call_us(bytes);
    if (last_core >= 0) {
        c.cores.hold(last_core, us);
        return 0;
    }
    c.host_us += us;
    return c.host_us;
}

uint64_t nanoseconds(double us) {
    return uint64_t(std::llround(us * 1e3));
}

} // namespace

double clock_ready(int core, double operands_us) {
    if (last_core < 0 || last_core == core) return operands_us;
    virtual_clock & c = now();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.cores.settle();
    return std::max(operands_us, c.cores.end_us(last_core));
}

void clock_run(int core, const rknpu::npu_run & run, int domain, double ready_us) {
    virtual_clock & c = now();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.cores.add(core, run, domain, ready_us);
    last_core = core;
}

double clock_to_device(uint64_t bytes) {
    virtual_clock & c = now();
    std::lock_guard<std::mutex> lock(c.mutex);
    c.host_us = std::max(c.host_us, c.cores.settle()) + c.call_us(bytes);
    return c.host_us;
}

void clock_from_device(uint64_t bytes) {
    spend(bytes);
}

double clock_bind() {
    return spend(0);
}

void read_clock(counters & into) {
    virtual_clock & c = now();
    std::lock_guard<std::mutex> lock(c.mutex);
    const double end_us = std::max(c.host_us, c.cores.settle());
    double busy_us = 0;
    for (int i = 0; i < RKNN_EMU_CORES; i++) {
        busy_us += c.cores.busy_us(i);
        into.busy_ns_of_core[i] = nanoseconds(c.cores.busy_us(i));
    }
    into.virtual_ns = nanoseconds(end_us);
    into.calls_ns = nanoseconds(c.calls_us);
    into.switches_ns = nanoseconds(c.cores.switch_us());
    into.dram_bytes = uint64_t(c.cores.dram_bytes());
    into.energy_uj = uint64_t(std::llround(rknpu::energy_uj(config().watts, {busy_us, c.cores.dram_bytes(), 0})));
}

} // namespace rknn_emu
