// See engine.h.
#include "matmul/engine.h"

#include "base/log.h"
#include "device/board.h"
#include "device/rknn/rknn-device.h"
#include "device/self-test.h"
#include "plan/placement.h"
#include "plan/policy-file.h"

#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <mutex>
#include <system_error>

namespace rknpu {

namespace {

// So many failures in a row, and the NPU is left alone.
constexpr int failures_max = 3;

plan_settings planning_of(const settings & wishes) {
    plan_settings p;
    const auto formats = read_policy(wishes.format);
    if (formats.ok())
        p.formats = formats.value();
    else
        log_warn("GGML_RKNPU_FORMAT: %s; using balanced", formats.status().message().c_str());
    if (wishes.rotation != "hadamard" && wishes.rotation != "none") {
        log_warn("rotation '%s' is not known; use hadamard or none; using hadamard", wishes.rotation.c_str());
    }
    p.rotate = wishes.rotation != "none";
    if (wishes.balance != "auto" && wishes.balance != "none") {
        log_warn("balance '%s' is not known; use auto or none; using auto", wishes.balance.c_str());
    }
    p.balance = wishes.balance != "none";
    p.n_cores = int(wishes.cores);
    return p;
}

weight_limits limits_of(const chip & soc, const settings & wishes) {
    return limit_weights(soc, wishes.domain_mib, wishes.memory_mib);
}

// The runtime spends file descriptors on memories and contexts; the usual soft limit of 1024 is for a shell's sake.
void raise_fd_limit() {
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

result<std::unique_ptr<engine>> engine::open(const settings & wishes) {
    std::string chip_name = wishes.chip.empty() ? detect_chip() : wishes.chip;
    std::transform(chip_name.begin(), chip_name.end(), chip_name.begin(), [](char c) { return char(std::tolower(c)); });
    if (wishes.runtime.empty() && chip_name.empty()) return status(errc::not_found, "");
    if (!chip_name.empty()) {
        // Said before any library is searched for: on another chip none would help.
        if (const auto known = find_chip(chip_name); !known.ok()) return known.status();
    }
    auto runtime = find_runtime(wishes.runtime);
    if (!runtime.ok()) return runtime.status();
    raise_fd_limit();
    auto npu = open_rknn_device(runtime.value(), wishes.chip.empty() ? "" : chip_name);
    if (!npu.ok()) return npu.status();
    std::unique_ptr<engine> opened;
    try {
        opened = std::make_unique<engine>(std::move(npu.value()), wishes);
    } catch (const std::system_error & e) {
        return status(errc::out_of_memory, std::string("the driver threads cannot be started (") + e.what() +
                                               "): raise the limit on processes (ulimit -u)");
    }
    if (auto s = opened->lock_.open(); !s.ok()) return s;
    if (auto s = opened->start_capture(); !s.ok()) return s;
    if (auto s = opened->self_test(); !s.ok()) {
        if (opened->team().hung()) (void)opened.release(); // the hung thread refers to it for ever
        return s;
    }
    return opened;
}

engine::engine(std::unique_ptr<device> npu, const settings & wishes)
    : settings_(wishes), planning_(planning_of(wishes)), device_(std::move(npu)),
      ledger_(info().soc->n_domains, limits_of(*info().soc, wishes).domain, limits_of(*info().soc, wishes).total),
      lock_(wishes.lock), job_cache_(std::make_unique<job_cache>(*device_, counters_, ledger_)),
      team_(std::make_unique<core_team>(*device_, info().soc->n_cores, std::chrono::milliseconds(wishes.timeout_ms),
                                        std::chrono::microseconds(wishes.spin_us))),
      failures_in_a_row_(size_t(info().soc->n_cores) + 1) {}

status engine::self_test() {
    std::lock_guard<npu_lock> alone(lock_);
    for (const element type : {element::f16, element::i8, element::i4}) {
        for (int core = 0; core < info().soc->n_cores; core++) {
            const status s = test_core(*device_, *team_, type, core);
            if (s.ok()) continue;
            if (team_->hung()) device_->abandon();
            if (type == element::i4 && !team_->hung()) { // all else works without it
                log_warn("int4 is not used, 8 bits are used instead: core %d: %s", core, s.message().c_str());
                planning_.int4 = false;
                return {};
            }
            return {s.code(),
                    format_text("the self-test in %s failed on core %d: ", element_name(type), core) + s.message()};
        }
    }
    return {};
}

status engine::start_capture() {
    if (settings_.capture.empty()) return {};
    auto started =
        activation_capture::open(settings_.capture, settings_.capture_state, size_t(settings_.capture_mib) << 20);
    if (!started.ok()) return started.status();
    capture_ = std::move(started.value());
    return {};
}

void engine::release_memory() {
    std::lock_guard<std::mutex> lock(held_back_mutex_);
    held_back_.clear();
}

void engine::hold_back_memory(size_t weight_bytes, int domain) {
    std::lock_guard<std::mutex> lock(held_back_mutex_);
    if (held_back_.count(domain)) return;
    // A guess, not a measurement; jobs that find no memory all the same run on the CPU.
    const size_t bytes = std::clamp<size_t>(weight_bytes / 4, size_t(4) << 20, size_t(64) << 20);
    auto memory = device_->allocate(bytes, domain);
    if (memory.ok()) held_back_[domain] = std::move(memory.value());
}

bool engine::make_visible(weight_pool & pool) {
    if (pool.flushed()) return true;
    const status flushed = pool.flush();
    if (!flushed.ok()) note_sync(flushed);
    return flushed.ok();
}

void engine::note_job(int core, const status & outcome) {
    std::atomic<int> & in_a_row = failures_in_a_row_[size_t(core)];
    if (outcome.ok()) {
        in_a_row = 0;
        return;
    }
    counters_.jobs_failed++;
    if (outcome.code() == errc::timeout && team_->hung()) {
        device_->abandon();
        retire(outcome.message());
    } else {
        const int failures = ++in_a_row;
        const uint64_t n = counters_.jobs_failed;
        if ((n & (n - 1)) == 0) { // the 1st, 2nd, 4th, 8th, ...
            log_warn("%s; the job was recomputed on the CPU (%llu so far)", outcome.message().c_str(),
                     (unsigned long long)n);
        }
        if (failures >= failures_max)
            retire(format_text("%d jobs in a row failed, the last one: %s", failures, outcome.message().c_str()));
    }
}

void engine::retire(const std::string & why) {
    if (retired_.exchange(true)) return;
    job_cache_->close();
    log_error(
        "%s: the NPU is retired until the program ends, and the CPU takes over (slow); restart the program, and the "
        "board if it happens again",
        why.c_str());
}

} // namespace rknpu
