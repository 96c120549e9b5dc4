// A device around another one whose jobs misbehave on demand: for tests of what the user sees then.
#pragma once

#include "device/device.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace rknpu::test {

enum class fault { none, error, hang, wrong_data };

struct fault_plan {
    std::function<fault(int job)> of_job = [](int) { return fault::none; }; // jobs are counted from 1
    std::function<fault(int core)> of_core = [](int) { return fault::none; };
    std::atomic<int> jobs{0}, syncs{0};
    int failing_sync = 0; // counted from 1; 0: none
    bool no_contexts = false;
    size_t allocation_max = SIZE_MAX;
};

// Never freed but kept reachable, for a hung thread refers to its plan for ever.
inline fault_plan & kept_fault_plan() {
    static auto & all = *new std::vector<std::unique_ptr<fault_plan>>;
    all.push_back(std::make_unique<fault_plan>());
    return *all.back();
}

class faulty_context : public job_context {
public:
    faulty_context(std::unique_ptr<job_context> inner, element type, fault_plan & faults, device & npu, int core)
        : inner_(std::move(inner)), type_(type), faults_(faults), npu_(npu), core_(core) {}
    status bind(device_memory & a, device_memory & w, device_memory & o) override {
        output_ = &o;
        return inner_->bind(a, w, o);
    }
    status run() override {
        fault f = faults_.of_job(++faults_.jobs);
        if (f == fault::none) f = faults_.of_core(core_);
        if (f == fault::error) return {errc::device_failed, "an NPU job: failed (-1)"};
        while (f == fault::hang)
            std::this_thread::sleep_for(std::chrono::hours(1));
        const status s = inner_->run();
        if (f == fault::wrong_data) {
            // Through the CPU's copy to the device's, so that the sync after the run brings it back.
            if (auto t = npu_.sync(output_->whole(), sync_direction::from_device); !t.ok()) return t;
            // Seen within any tolerance: of integers a high bit. An f32 becomes 1e38 or so, for with a bit of its
            // exponent flipped a small sum of large products differs by less than another order of adding might make.
            uint8_t & high = output_->data()[7];
            high = type_ == element::f16 ? 0x7e : high ^ 0x40;
            return npu_.sync(output_->whole(), sync_direction::to_device);
        }
        return s;
    }

private:
    std::unique_ptr<job_context> inner_;
    element type_;
    fault_plan & faults_;
    device & npu_;
    int core_;
    device_memory * output_ = nullptr;
};

class faulty_device : public device {
public:
    faulty_device(std::unique_ptr<device> inner, fault_plan & faults) : inner_(std::move(inner)), faults_(faults) {}
    const device_info & info() const override { return inner_->info(); }
    result<std::unique_ptr<device_memory>> allocate(size_t bytes, int domain) override {
        if (bytes > faults_.allocation_max) return status(errc::out_of_memory, "no such piece");
        return inner_->allocate(bytes, domain);
    }
    result<std::unique_ptr<device_memory>> view(device_memory & memory, size_t offset, size_t bytes) override {
        return inner_->view(memory, offset, bytes);
    }
    status sync(device_memory & memory, sync_direction direction) override {
        if (++faults_.syncs == faults_.failing_sync)
            return {errc::device_failed, "a cache sync of NPU memory: failed (-1)"};
        return inner_->sync(memory, direction);
    }
    void abandon() override { inner_->abandon(); }
    result<std::unique_ptr<job_context>> create_context(const job_shape & shape, int core, int domain) override {
        if (faults_.no_contexts) return status(errc::out_of_memory, "no context to be had");
        auto created = inner_->create_context(shape, core, domain);
        if (!created.ok()) return created.status();
        return std::unique_ptr<job_context>(
            new faulty_context(std::move(created.value()), shape.type, faults_, *inner_, core));
    }

private:
    std::unique_ptr<device> inner_;
    fault_plan & faults_;
};

} // namespace rknpu::test
