// See rknn-device.h.
#include "device/rknn/rknn-device.h"

#include "base/check.h"
#include "base/log.h"
#include "device/board.h"
#include "layout/layout.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <map>
#include <mutex>

namespace rknpu {

namespace {

const char * code_name(int code) {
    switch (code) {
    case abi::fail:
        return "failed";
    case abi::timeout:
        return "timed out";
    case abi::device_unavailable:
        return "device unavailable";
    case abi::malloc_fail:
        return "out of memory";
    case abi::param_invalid:
        return "invalid parameter";
    case abi::ctx_invalid:
        return "invalid context";
    case abi::device_unmatch:
        return "runtime and driver do not match";
    }
    return "error";
}

status failure(const char * what, int code) {
    const errc kind = code == abi::malloc_fail ? errc::out_of_memory
                      : code == abi::timeout   ? errc::timeout
                                               : errc::device_failed;
    return {kind, format_text("%s: %s (%d)", what, code_name(code), code)};
}

abi::matmul_type matmul_type_of(element type) {
    switch (type) {
    case element::f16:
        return abi::f16_f16_to_f32;
    case element::i8:
        return abi::i8_i8_to_i32;
    case element::i4:
        return abi::i4_i4_to_i16;
    }
    return abi::f16_f16_to_f32;
}

// What every object of a device shares: the entry points, and whether anything may still be given back.
struct session {
    rknn_runtime runtime;
    std::atomic<bool> abandoned{false};
};

// A raw context of one shape; destroyed with it.
class raw_context {
public:
    raw_context(const session & with, abi::context handle) : session_(with), handle_(handle) {}
    ~raw_context() {
        if (handle_ && !session_.abandoned) session_.runtime.matmul_destroy(handle_);
    }
    raw_context(raw_context && other) noexcept : session_(other.session_), handle_(other.handle_) { other.handle_ = 0; }
    raw_context(const raw_context &) = delete;
    abi::context handle() const { return handle_; }

private:
    const session & session_;
    abi::context handle_;
};

result<raw_context> create_raw(const session & with, const job_shape & shape, int domain, abi::matmul_io_attr & io) {
    abi::matmul_info info{};
    info.M = int32_t(shape.M);
    info.K = int32_t(shape.K);
    info.N = int32_t(shape.N);
    info.type = matmul_type_of(shape.type);
    info.B_layout = abi::layout_native;
    info.AC_layout = abi::layout_native;
    info.iommu_domain_id = domain;
    std::memset(&io, 0, sizeof(io));
    abi::context handle = 0;
    const int code = with.runtime.matmul_create(&handle, &info, &io);
    if (code != abi::succ) {
        return failure(format_text("creating a context for %s [%zu, %zu] x [%zu, %zu]", element_name(shape.type),
                                   shape.M, shape.K, shape.N, shape.K)
                           .c_str(),
                       code);
    }
    return raw_context(with, handle);
}

bool same_dims(const abi::matmul_tensor_attr & attr, std::initializer_list<size_t> dims, size_t bytes) {
    if (attr.n_dims != dims.size() || attr.size != bytes) return false;
    return std::equal(dims.begin(), dims.end(), attr.dims, [](size_t a, uint32_t b) { return a == b; });
}

// The runtime tells its native tile sizes with each context; they must be those of our formulas.
status check_layout(const chip & soc, const job_shape & shape, const abi::matmul_io_attr & io) {
    const tile_shape & tile = soc.tile(shape.type);
    const activation_layout a(tile, shape.M, shape.K);
    const weight_layout w(tile, shape.N, shape.K);
    const output_layout o(tile, shape.M, shape.N);
    if (same_dims(io.A, {a.K / a.atom, a.M, a.atom}, shape.activation_bytes()) &&
        same_dims(io.B, {w.N / w.tile_n, w.K / w.tile_k, w.tile_n, w.tile_k}, shape.weight_bytes()) &&
        same_dims(io.C, {o.N / o.atom, o.M, o.atom}, shape.output_bytes())) {
        return {};
    }
    return {errc::incompatible,
            format_text("the runtime's native layout of %s [%zu, %zu] x [%zu, %zu] is not the one we know "
                        "(its tiles: %u, %u x %u, %u): please report it with the runtime's version",
                        element_name(shape.type), shape.M, shape.K, shape.N, shape.K, io.A.dims[2], io.B.dims[2],
                        io.B.dims[3], io.C.dims[2])};
}

class rknn_memory : public device_memory {
public:
    rknn_memory(const session & with, abi::context owner, abi::tensor_mem * mem, uint8_t * data, size_t bytes,
                int domain, device_memory * whole)
        : device_memory(data, bytes, domain, whole), session_(with), owner_(owner), mem_(mem) {}
    ~rknn_memory() override {
        if (!session_.abandoned) session_.runtime.destroy_mem(owner_, mem_);
    }
    abi::tensor_mem * mem() const { return mem_; }
    // Never used twice, unlike addresses: a context outlives models, and a later one's memory may lie where an earlier
    // one's lay.
    uint64_t serial() const { return serial_; }
    abi::context owner() const { return owner_; }

private:
    static uint64_t next_serial() {
        static std::atomic<uint64_t> last{0};
        return ++last;
    }

    const session & session_;
    abi::context owner_;
    abi::tensor_mem * mem_;
    uint64_t serial_ = next_serial();
};

class rknn_job_context : public job_context {
public:
    rknn_job_context(const session & with, raw_context context, const abi::matmul_io_attr & io)
        : session_(with), context_(std::move(context)), io_(io) {}

    status bind(device_memory & activation, device_memory & weight, device_memory & output) override {
        // A native operand is read in place at run, so a binding stays good until another memory takes its place.
        if (auto s = bind_one(activation, io_.A, bound_[0]); !s.ok()) return s;
        if (auto s = bind_one(weight, io_.B, bound_[1]); !s.ok()) return s;
        return bind_one(output, io_.C, bound_[2]);
    }

    status run() override {
        const int code = session_.runtime.matmul_run(context_.handle());
        return code == abi::succ ? status() : failure("an NPU job", code);
    }

private:
    status bind_one(device_memory & memory, abi::matmul_tensor_attr & attr, uint64_t & bound) {
        auto & m = static_cast<rknn_memory &>(memory);
        if (m.serial() == bound) return {};
        const int code = session_.runtime.matmul_set_io_mem(context_.handle(), m.mem(), &attr);
        bound = code == abi::succ ? m.serial() : 0;
        return code == abi::succ ? status() : failure("binding NPU memory", code);
    }

    const session & session_;
    raw_context context_;
    abi::matmul_io_attr io_;
    uint64_t bound_[3] = {}; // serial numbers of the memories; 0: none
};

class rknn_device : public device {
public:
    rknn_device(const rknn_runtime & runtime, const chip & soc) {
        session_.runtime = runtime;
        info_.soc = &soc;
        info_.emulated = runtime.emulated;
    }

    const device_info & info() const override { return info_; }

    void abandon() override { session_.abandoned = true; }

    status open() {
        auto owner = owner_of(0);
        if (!owner.ok()) return owner.status();
        query_versions(owner.value());
        return {};
    }

    result<std::unique_ptr<device_memory>> allocate(size_t bytes, int domain) override {
        if (session_.abandoned) return abandoned();
        std::lock_guard<std::mutex> lock(creation_);
        if (bytes > info_.soc->allocation_bytes_max) {
            return status(errc::out_of_memory,
                          format_text("%zu bytes are more than one NPU allocation can hold", bytes));
        }
        auto owner = owner_of(domain);
        if (!owner.ok()) return owner.status();
        abi::tensor_mem * mem = session_.runtime.create_mem(owner.value(), uint32_t(bytes));
        if (!mem || !mem->virt_addr) {
            return status(errc::out_of_memory, format_text("the NPU runtime cannot allocate %.1f KiB in domain %d "
                                                           "(memory, address space or file descriptors ran out)",
                                                           double(bytes) / 1024, domain));
        }
        return wrap(owner.value(), mem, static_cast<uint8_t *>(mem->virt_addr) + mem->offset, bytes, domain, nullptr);
    }

    result<std::unique_ptr<device_memory>> view(device_memory & memory, size_t offset, size_t bytes) override {
        if (session_.abandoned) return abandoned();
        std::lock_guard<std::mutex> lock(creation_);
        auto & whole = static_cast<rknn_memory &>(memory);
        RKNPU_CHECK(offset + bytes <= whole.bytes(), "a view must lie inside its memory");
        // The address is that of the whole mapping: the runtime adds the offset itself.
        abi::tensor_mem * mem =
            session_.runtime.create_mem_from_fd(whole.owner(), whole.mem()->fd, whole.mem()->virt_addr, uint32_t(bytes),
                                                whole.mem()->offset + int32_t(offset));
        if (!mem) return status(errc::out_of_memory, "the NPU runtime cannot import a window of its own memory");
        return wrap(whole.owner(), mem, whole.data() + offset, bytes, whole.domain(), &whole);
    }

    status sync(device_memory & memory, sync_direction direction) override {
        if (session_.abandoned) return abandoned();
        auto & m = static_cast<rknn_memory &>(memory);
        const int mode = direction == sync_direction::to_device ? abi::sync_to_device : abi::sync_from_device;
        const int code = session_.runtime.mem_sync(m.owner(), m.mem(), mode);
        return code == abi::succ ? status() : failure("a cache sync of NPU memory", code);
    }

    result<std::unique_ptr<job_context>> create_context(const job_shape & shape, int core, int domain) override {
        if (session_.abandoned) return abandoned();
        std::lock_guard<std::mutex> lock(creation_);
        abi::matmul_io_attr io;
        auto context = create_raw(session_, shape, domain, io);
        if (!context.ok()) return context.status();
        if (auto s = check_layout(*info_.soc, shape, io); !s.ok()) return s;
        const int code = session_.runtime.matmul_set_core_mask(context.value().handle(), 1 << core);
        if (code != abi::succ) return failure(format_text("pinning a context to core %d", core).c_str(), code);
        return std::unique_ptr<job_context>(new rknn_job_context(session_, std::move(context.value()), io));
    }

private:
    static status abandoned() { return {errc::device_failed, "the NPU was given up after a hang"}; }

    result<std::unique_ptr<device_memory>> wrap(abi::context owner, abi::tensor_mem * mem, uint8_t * data, size_t bytes,
                                                int domain, device_memory * whole) {
        return std::unique_ptr<device_memory>(new rknn_memory(session_, owner, mem, data, bytes, domain, whole));
    }

    // Memory belongs to the domain of the context that allocates it: one tiny context per domain does all of that.
    result<abi::context> owner_of(int domain) {
        auto found = owners_.find(domain);
        if (found == owners_.end()) {
            abi::matmul_io_attr io;
            auto context = create_raw(session_, {element::f16, 1, 32, 16}, domain, io);
            if (!context.ok()) return context.status();
            found = owners_.emplace(domain, std::move(context.value())).first;
        }
        return found->second.handle();
    }

    void query_versions(abi::context context) {
        abi::sdk_version version{};
        if (session_.runtime.query(context, abi::query_sdk_version, &version, sizeof(version)) == abi::succ) {
            version.api_version[sizeof(version.api_version) - 1] = 0;
            version.drv_version[sizeof(version.drv_version) - 1] = 0;
            info_.runtime_version = version.api_version;
            info_.driver_version = version.drv_version;
        } else { // not documented for matmul contexts
            info_.runtime_version = info_.driver_version = "unknown";
        }
        std::string name = info_.soc->name;
        std::transform(name.begin(), name.end(), name.begin(), [](char c) { return char(std::toupper(c)); });
        info_.description = format_text("Rockchip %s NPU, %d cores%s (librknnrt %s, driver %s)", name.c_str(),
                                        info_.soc->n_cores, info_.emulated ? ", EMULATED" : "",
                                        info_.runtime_version.c_str(), info_.driver_version.c_str());
    }

    session session_;     // first: everything below refers to it
    std::mutex creation_; // one creation at a time: models may be loaded while others compute
    std::map<int, raw_context> owners_;
    device_info info_;
};

} // namespace

result<std::unique_ptr<device>> open_rknn_device(const rknn_runtime & runtime, const std::string & chip_setting) {
    // An emulator runs on machines that have no chip of their own; it stands for the first one we support.
    const std::string detected = !chip_setting.empty() ? chip_setting : runtime.emulated ? "rk3588" : detect_chip();
    auto soc = find_chip(detected);
    if (!soc.ok()) return soc.status();
    auto opened = std::make_unique<rknn_device>(runtime, *soc.value());
    if (auto s = opened->open(); !s.ok()) {
        if (runtime.emulated)
            return status(s.code(), "the emulated NPU cannot be opened: " + s.message() +
                                        "; the emulator's own line above says why, see RKNN_EMU_* in docs/emulator.md");
        const status why = explain_open_failure();
        return status(why.code(), "the NPU cannot be opened (" + s.message() + "): " + why.message());
    }
    return std::unique_ptr<device>(std::move(opened));
}

} // namespace rknpu
