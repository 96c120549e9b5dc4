// Running a job: bindings, faults, the core's queue, the panic detector, the counters; see context.h.
#include "context.h"

#include "clock.h"
#include "faults.h"
#include "log.h"
#include "panic-lock.h"
#include "settings.h"
#include "stats.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <tuple>

#include <unistd.h>

namespace rknn_emu {

namespace abi = rknpu::abi;

namespace {

struct npu {
    std::mutex cores[RKNN_EMU_CORES]; // held while a job runs on the core: its queue
    std::mutex choice;
    int queued[RKNN_EMU_CORES] = {};
    int last_domain = -1;
    std::mutex seen_mutex;
    std::set<std::tuple<size_t, size_t, size_t, int, int, int>>
        seen; // M, K, N, type, core, domain of contexts that ran
};

npu & device() {
    static npu * const n = new npu; // never destroyed: a hung job waits in it until the process is gone
    return *n;
}

// A place in a core's queue; wanted -1: the shortest.
class core_place {
public:
    core_place(int wanted, int domain) : core_(wanted) {
        npu & n = device();
        std::lock_guard<std::mutex> lock(n.choice);
        if (core_ < 0) {
            core_ = 0;
            for (int i = 1; i < RKNN_EMU_CORES; i++)
                if (n.queued[i] < n.queued[core_]) core_ = i;
        }
        n.queued[core_]++;
        if (n.last_domain >= 0 && n.last_domain != domain) stats().domain_switches++;
        n.last_domain = domain;
    }
    ~core_place() {
        npu & n = device();
        std::lock_guard<std::mutex> lock(n.choice);
        n.queued[core_]--;
    }
    core_place(const core_place &) = delete;
    core_place & operator=(const core_place &) = delete;
    int core() const { return core_; }

private:
    int core_;
};

struct job_scope {
    job_scope() : ok(job_begin()) {}
    ~job_scope() {
        if (ok) job_end();
    }
    const bool ok;
};

// The interrupt of this job is lost: the hardware is idle again, this thread waits for ever. exit() does not wait for
// it.
[[noreturn]] void hang_for_ever() {
    for (;;)
        ::pause();
}

} // namespace

int matmul_context::check_bindings() const {
    for (size_t i = 0; i < 3; i++) {
        if (!operands_[i].bound)
            return refuse(i == 2 ? abi::output_invalid : abi::input_invalid, "rknn_matmul_run: %c is not bound",
                          char('A' + i));
        if (operands_[i].mem->destroyed)
            return misuse("rknn_matmul_run: the memory bound as %c was destroyed", char('A' + i));
    }
    if (info_.type == abi::i8_i8_to_f32)
        return refuse(abi::fail,
                      "failed to submit!, op id: 0, op name: MatMul (INT8 to FLOAT32 aborts at run on RK3588)");
    return abi::succ;
}

void matmul_context::count_run(int core) const {
    const shape & s = shapes_[active_];
    counters & c = stats();
    c.runs++;
    c.runs_of_core[core]++;
    c.macs += uint64_t(s.M) * s.K * s.N;
    c.bytes_a += s.bytes_a();
    c.bytes_b += s.bytes_b();
    c.bytes_c += s.bytes_c();
    npu & n = device();
    std::lock_guard<std::mutex> lock(n.seen_mutex);
    if (n.seen.emplace(s.M, s.K, s.N, int(info_.type), core_, domain()).second) c.contexts_distinct++;
}

double matmul_context::ready_us(int core) const {
    double operands_us = std::max<double>(operands_[0].mem->store->synced_us, operands_[1].mem->store->synced_us);
    for (const operand & op : operands_)
        operands_us = std::max(operands_us, op.bound_us);
    return clock_ready(core, operands_us);
}

rknpu::npu_run matmul_context::as_planned() const {
    const shape & s = shapes_[active_];
    const bool normal = info_.AC_layout == abi::layout_norm;
    return {s.type->input, s.M, s.K, s.N, normal ? rknpu::io_layout::normal : rknpu::io_layout::native};
}

int matmul_context::run_on_core(int core, double ready_us, bool wrong, uint64_t n_wrong) {
    const shape & s = shapes_[active_];
    uint8_t * c = operands_[2].mem->device();
    if (config().arithmetic || stats().runs < config().computed_runs) {
        auto native = [&](size_t i) {
            const operand & op = operands_[i];
            return op.converted.empty() ? op.mem->device() : op.converted.data();
        };
        auto scale = [&](int i) { return scales_[i].empty() ? 1.0f : scales_[i][0]; };
        if (zero_result_)
            std::fill(c, c + s.bytes_c(), uint8_t(0));
        else
            multiply({&s, native(0), native(1), c, info_.AC_layout == abi::layout_norm, scale(0) * scale(1) / scale(2),
                      &scratch_});
    }
    if (wrong) { // the second highest bit of one element
        const uint64_t element = fault_hash(config().faults.seed(), uint64_t(fault::wrong), n_wrong) % (s.M * s.N);
        c[(element + 1) * size_t(s.type->output_bytes) - 1] ^= 0x40;
    }
    count_run(core);
    clock_run(core, as_planned(), domain(), ready_us);
    return abi::succ;
}

int matmul_context::run() {
    if (const int code = check_bindings()) return code;
    uint64_t n_wrong = 0;
    const bool error = fault_fires(fault::run_error), timeout = fault_fires(fault::run_timeout);
    const bool hang = fault_fires(fault::hang), wrong = fault_fires(fault::wrong, &n_wrong);
    core_place place(core_, domain());
    const double ready = ready_us(place.core());
    std::lock_guard<std::mutex> lock(device().cores[place.core()]);
    {
        job_scope job;
        if (!job.ok) return refuse(abi::device_unavailable, "failed to submit!, op id: 0, op name: MatMul: no device");
        if (error) return abi::fail;
        if (timeout) return abi::timeout;
        if (!hang) return run_on_core(place.core(), ready, wrong, n_wrong);
    }
    hang_for_ever();
}

} // namespace rknn_emu
