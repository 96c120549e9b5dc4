// See engine.h.
#include "matmul/engine.h"

#include "base/log.h"
#include "device/board.h"
#include "device/rknn/rknn-device.h"

#include <sys/resource.h>

#include <algorithm>

namespace rknpu {

namespace {

// So many failures in a row, and the NPU is left alone.
constexpr int failures_max = 3;

// Address space of a domain that is kept free of weights, for staging and the runtime's own needs. [G] gives no figure;
// contexts take 0.3-0.5 MB each (measured by pty819/rk-llama.cpp), staging up to 16 MiB a job.
constexpr uint64_t staging_bytes = uint64_t(256) << 20;

plan_settings planning_of(const settings & wishes) {
    plan_settings p;
    if (wishes.format != "auto") {
        const auto parsed = parse_format(wishes.format);
        if (parsed.ok())
            p.wanted = parsed.value();
        else
            log_warn("%s; using %s", parsed.status().message().c_str(), format_name(p.wanted));
    }
    if (wishes.rotation != "hadamard" && wishes.rotation != "none") {
        log_warn("rotation '%s' is not known; use hadamard or none; using hadamard", wishes.rotation.c_str());
    }
    p.rotate = wishes.rotation != "none";
    p.n_cores = int(std::min<uint64_t>(wishes.cores, 1000));
    return p;
}

uint64_t weight_bytes_max(const chip & soc, const settings & wishes) {
    const uint64_t room = soc.domain_bytes - staging_bytes;
    return wishes.memory_mib ? std::min(room, wishes.memory_mib << 20) : room;
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
    const std::string chip_name = wishes.chip.empty() ? detect_chip() : wishes.chip;
    if (wishes.runtime.empty() && chip_name.empty()) return status(errc::not_found, "");
    if (!chip_name.empty()) {
        // Said before any library is searched for: on another chip none would help.
        if (const auto known = find_chip(chip_name); !known.ok()) return known.status();
    }
    auto runtime = find_runtime(wishes.runtime);
    if (!runtime.ok()) return runtime.status();
    raise_fd_limit();
    auto npu = open_rknn_device(runtime.value(), wishes.chip);
    if (!npu.ok()) return npu.status();
    auto opened = std::make_unique<engine>(std::move(npu.value()), wishes);
    if (auto s = opened->lock_.open(); !s.ok()) return s;
    return opened;
}

engine::engine(std::unique_ptr<device> npu, const settings & wishes)
    : settings_(wishes), planning_(planning_of(wishes)), device_(std::move(npu)),
      ledger_(info().soc->n_domains, weight_bytes_max(*info().soc, wishes)), lock_(wishes.lock),
      job_cache_(std::make_unique<job_cache>(*device_, counters_)),
      team_(std::make_unique<core_team>(*device_, info().soc->n_cores,
                                        std::chrono::milliseconds(std::max<uint64_t>(1, wishes.timeout_ms)),
                                        std::chrono::microseconds(wishes.spin_us))) {}

void engine::hold_back_memory() {
    // 64 MiB serve the jobs of any model we know; where even that is much, a smaller piece must do.
    for (size_t bytes = size_t(64) << 20; !held_back_ && bytes >= size_t(4) << 20; bytes /= 2) {
        auto memory = device_->allocate(bytes, 0);
        if (memory.ok()) held_back_ = std::move(memory.value());
    }
}

void engine::note_job(const status & outcome) {
    if (outcome.ok()) {
        failures_in_a_row_ = 0;
        return;
    }
    counters_.jobs_failed++;
    if (outcome.code() == errc::timeout && team_->hung()) {
        device_->abandon();
        retire(outcome.message());
    } else {
        const int failures = ++failures_in_a_row_;
        if (counters_.jobs_failed == 1) log_warn("%s; the job was recomputed on the CPU", outcome.message().c_str());
        if (failures >= failures_max)
            retire(format_text("%d jobs in a row failed, the last one: %s", failures, outcome.message().c_str()));
    }
}

void engine::retire(const std::string & why) {
    if (retired_.exchange(true)) return;
    log_error(
        "%s: the NPU is retired until the program ends, and the CPU takes over (slow); restart the program, and the "
        "board if it happens again",
        why.c_str());
}

} // namespace rknpu
