// Who multiplies: the face of an NPU, kept so small that a second driver is one more folder.
//
// Invariant: memory belongs to one IOMMU domain; a context multiplies one fixed shape on one core and only with memory
// of its own domain. allocate, view and create_context may be called from any thread; bind and run of one context from
// one thread at a time, of different cores in parallel.
#pragma once

#include "base/status.h"
#include "plan/chip.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace rknpu {

// A stretch of NPU memory as the CPU sees it (cached: see sync). Freed by its destructor; a view must die before the
// memory it looks into.
class device_memory {
public:
    virtual ~device_memory() = default;
    uint8_t * data() const { return data_; }
    size_t bytes() const { return bytes_; }
    int domain() const { return domain_; }
    // What is synced: the memory that a view looks into, otherwise this.
    device_memory & whole() { return whole_ ? *whole_ : *this; }

protected:
    device_memory(uint8_t * data, size_t bytes, int domain, device_memory * whole = nullptr)
        : data_(data), bytes_(bytes), domain_(domain), whole_(whole) {}

private:
    uint8_t * data_;
    size_t bytes_;
    int domain_;
    device_memory * whole_;
};

// Shape of one job as the NPU sees it: multiples of the chip's alignments.
struct job_shape {
    element type;
    size_t M, K, N;

    size_t activation_bytes() const { return element_bytes(type, M * K); }
    size_t weight_bytes() const { return element_bytes(type, K * N); }
    size_t output_bytes() const { return M * N * size_t(accumulator_bytes(type)); }
};

// A prepared multiplication of one shape on one core: output = activation x weight^T, all in native layout.
class job_context {
public:
    virtual ~job_context() = default;
    // Binds operands for the next run; cheap where nothing changed.
    virtual status bind(device_memory & activation, device_memory & weight, device_memory & output) = 0;
    // Multiplies and returns when the output is written. May block for ever if the driver loses an interrupt.
    virtual status run() = 0;
};

enum class sync_direction { to_device, from_device };

struct device_info {
    std::string description; // e.g. "RK3588 NPU, 3 cores (librknnrt 2.3.2, driver 0.9.8)"
    std::string runtime_version;
    std::string driver_version;
    bool emulated = false;
    const chip * soc = nullptr;
};

class device {
public:
    virtual ~device() = default;
    virtual const device_info & info() const = 0;
    // Memory that the NPU can reach, readable and writable by the CPU. status: out_of_memory.
    virtual result<std::unique_ptr<device_memory>> allocate(size_t bytes, int domain) = 0;
    // A window [offset, offset + bytes) into memory, to be bound. Never synced: through a window the caches were seen
    // to stay stale (unimatrix099/rk-llama.cpp decode-research 1o); sync the memory it looks into.
    virtual result<std::unique_ptr<device_memory>> view(device_memory & memory, size_t offset, size_t bytes) = 0;
    // Makes CPU writes visible to the NPU, or NPU writes to the CPU, for a whole allocation. Thread-safe on different
    // memories.
    virtual status sync(device_memory & memory, sync_direction direction) = 0;
    // After a hang: memories and contexts are kept for ever instead of given back, for the NPU may still use them; and
    // every call answers device_failed, for the runtime may block in any of its own.
    virtual void abandon() = 0;
    // status: unsupported, incompatible (the runtime's layout is not ours), out_of_memory, device_failed.
    virtual result<std::unique_ptr<job_context>> create_context(const job_shape & shape, int core, int domain) = 0;
};

} // namespace rknpu
