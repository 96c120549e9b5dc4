// A device of plain memory without jobs: for tests of who asks for which memory.
#pragma once

#include "device/device.h"

#include <functional>
#include <vector>

namespace rknpu::test {

class fake_memory : public device_memory {
public:
    fake_memory(size_t bytes, int domain, std::function<void()> on_free)
        : device_memory(new uint8_t[bytes], bytes, domain), on_free_(std::move(on_free)) {}
    ~fake_memory() override {
        delete[] data();
        on_free_();
    }

private:
    std::function<void()> on_free_;
};

class fake_device : public device {
public:
    size_t largest = SIZE_MAX; // what one allocation may have
    std::vector<size_t> allocations;
    int live = 0;

    fake_device() { info_.soc = find_chip("rk3588").value(); }
    const device_info & info() const override { return info_; }
    result<std::unique_ptr<device_memory>> allocate(size_t bytes, int domain) override {
        if (bytes > largest) return status(errc::out_of_memory, "too large");
        allocations.push_back(bytes);
        live++;
        return std::unique_ptr<device_memory>(new fake_memory(bytes, domain, [this] { live--; }));
    }
    result<std::unique_ptr<device_memory>> view(device_memory &, size_t, size_t) override {
        return status(errc::unsupported, "no views");
    }
    status sync(device_memory &, sync_direction) override { return {}; }
    void abandon() override {}
    result<std::unique_ptr<job_context>> create_context(const job_shape &, int, int) override {
        return status(errc::unsupported, "no jobs");
    }

private:
    device_info info_;
};

} // namespace rknpu::test
