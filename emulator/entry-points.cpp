// The C ABI: argument checks, handles to objects, and a wall that no exception passes.
//
// Invariant: every exported function is here, has C linkage, and returns a code of the vendor's for everything that can
// happen. Calls that reach the device answer -3 after an emulated kernel panic.
#include "context.h"
#include "device/rknn/abi.h"
#include "faults.h"
#include "log.h"
#include "memory.h"
#include "panic-lock.h"
#include "rknn-emu.h"
#include "settings.h"
#include "stats.h"

#include <cstddef>
#include <cstring>
#include <exception>

namespace abi = rknpu::abi;
using namespace rknn_emu;

#define RKNN_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Runs body; anything thrown (out of host memory, in practice) becomes on_throw.
template <class R, class F> R guarded(const char * call, R on_throw, F body) noexcept {
    try {
        return body();
    } catch (const std::exception & e) {
        refuse(abi::fail, "%s: %s", call, e.what());
    } catch (...) {
        refuse(abi::fail, "%s: unknown exception", call);
    }
    return on_throw;
}

int null_argument(const char * call) {
    return refuse(abi::param_invalid, "%s: a pointer is null", call);
}
int unknown_context(const char * call) {
    return refuse(abi::ctx_invalid, "%s: context is invalid", call);
}

// body(matmul_context &) with the context claimed for this thread.
template <class F> int with_context(const char * call, abi::context handle, F body) noexcept {
    return guarded(call, int(abi::fail), [&]() -> int {
        const auto ctx = find_context(handle);
        if (!ctx) return unknown_context(call);
        const context_guard guard(*ctx, call);
        return guard.ok() ? body(*ctx) : int(abi::fail);
    });
}

int create(const char * call, abi::context * handle, const abi::matmul_info * info, int n_shapes,
           const abi::matmul_shape * shapes, abi::matmul_io_attr * io) noexcept {
    return guarded(call, int(abi::malloc_fail), [&]() -> int {
        if (!handle || !info || !shapes || !io) return null_argument(call);
        if (!config().problem.empty()) return refuse(abi::fail, "%s: %s", call, config().problem.c_str());
        if (device_gone()) return refuse(abi::device_unavailable, "%s: no device", call);
        if (n_shapes <= 0) return refuse(abi::param_invalid, "%s: %d shapes", call, n_shapes);
        if (fault_fires(fault::create)) return abi::fail;
        std::shared_ptr<matmul_context> ctx;
        const int code = matmul_context::create(*info, shapes, n_shapes, io, ctx);
        if (code == abi::succ) *handle = publish_context(std::move(ctx));
        return code;
    });
}

// The domain to allocate in, or -1 with a line.
int allocation_domain(const char * call, abi::context handle, bool no_context) {
    if (!config().problem.empty()) return refuse(-1, "%s: %s", call, config().problem.c_str());
    if (device_gone()) return refuse(-1, "%s: no device", call);
    const auto ctx = find_context(handle);
    if (ctx) return ctx->domain();
    if (no_context) return 0;
    unknown_context(call);
    return -1;
}

abi::tensor_mem * allocate(const char * call, abi::context handle, uint64_t size, uint64_t flags) noexcept {
    constexpr uint64_t non_cacheable = 2, no_context = 0x20000;
    return guarded(call, static_cast<abi::tensor_mem *>(nullptr), [&]() -> abi::tensor_mem * {
        const int domain = allocation_domain(call, handle, (flags & no_context) != 0);
        if (domain < 0 || fault_fires(fault::alloc)) return nullptr;
        return create_memory(domain, size, (flags & non_cacheable) == 0);
    });
}

} // namespace

RKNN_EXPORT int rknn_matmul_create(abi::context * handle, abi::matmul_info * info, abi::matmul_io_attr * io) {
    const abi::matmul_shape only = info ? abi::matmul_shape{info->M, info->K, info->N} : abi::matmul_shape{};
    return create("rknn_matmul_create", handle, info, 1, &only, io);
}

RKNN_EXPORT int rknn_matmul_create_dynamic_shape(abi::context * handle, abi::matmul_info * info, int n_shapes,
                                                 abi::matmul_shape * shapes, abi::matmul_io_attr * io) {
    return create("rknn_matmul_create_dynamic_shape", handle, info, n_shapes, shapes, io);
}

RKNN_EXPORT int rknn_matmul_set_io_mem(abi::context handle, abi::tensor_mem * mem, abi::matmul_tensor_attr * attr) {
    return with_context("rknn_matmul_set_io_mem", handle, [&](matmul_context & ctx) -> int {
        if (!mem || !attr) return null_argument("rknn_matmul_set_io_mem");
        if (device_gone()) return abi::device_unavailable;
        if (fault_fires(fault::bind)) return abi::fail;
        const auto found = find_memory(mem);
        if (!found) return misuse("rknn_matmul_set_io_mem: not a live memory object");
        return ctx.set_io_mem(found, *attr);
    });
}

RKNN_EXPORT int rknn_matmul_set_core_mask(abi::context handle, int32_t mask) {
    return with_context("rknn_matmul_set_core_mask", handle,
                        [&](matmul_context & ctx) { return ctx.set_core_mask(mask); });
}

RKNN_EXPORT int rknn_matmul_set_quant_params(abi::context handle, abi::quant_params * params) {
    return with_context("rknn_matmul_set_quant_params", handle, [&](matmul_context & ctx) -> int {
        return params ? ctx.set_quant_params(*params) : null_argument("rknn_matmul_set_quant_params");
    });
}

RKNN_EXPORT int rknn_matmul_get_quant_params(abi::context handle, abi::quant_params * params, float * scale) {
    return with_context("rknn_matmul_get_quant_params", handle, [&](matmul_context & ctx) -> int {
        return params && scale ? ctx.get_quant_params(*params, *scale) : null_argument("rknn_matmul_get_quant_params");
    });
}

RKNN_EXPORT int rknn_matmul_set_dynamic_shape(abi::context handle, abi::matmul_shape * wanted) {
    return with_context("rknn_matmul_set_dynamic_shape", handle, [&](matmul_context & ctx) -> int {
        return wanted ? ctx.set_dynamic_shape(*wanted) : null_argument("rknn_matmul_set_dynamic_shape");
    });
}

RKNN_EXPORT int rknn_matmul_run(abi::context handle) {
    return with_context("rknn_matmul_run", handle, [](matmul_context & ctx) { return ctx.run(); });
}

RKNN_EXPORT int rknn_matmul_destroy(abi::context handle) {
    const int code = with_context("rknn_matmul_destroy", handle, [](matmul_context &) -> int { return abi::succ; });
    if (code == abi::succ) forget_context(handle);
    return code;
}

RKNN_EXPORT int rknn_B_normal_layout_to_native_layout(void * in, void * out, int K, int N, abi::matmul_info * info) {
    const char * call = "rknn_B_normal_layout_to_native_layout";
    return guarded(call, int(abi::malloc_fail), [&]() -> int {
        if (!in || !out || !info) return null_argument(call);
        if (!config().problem.empty()) return refuse(abi::fail, "%s: %s", call, config().problem.c_str());
        if (info->B_layout != abi::layout_native) return refuse(abi::param_invalid, "%s: B_layout is not native", call);
        shape s{};
        if (const int code = check_shape(*info, {1, K, N}, s)) return code;
        auto * native = static_cast<uint8_t *>(out);
        if (s.type->input == rknpu::element::i4 && !config().i4_helper_packed)
            native_b_from_unpacked_i4(s, static_cast<const int8_t *>(in), native);
        else
            native_b_from_norm(s, static_cast<const uint8_t *>(in), native);
        return abi::succ;
    });
}

RKNN_EXPORT abi::tensor_mem * rknn_create_mem(abi::context handle, uint32_t size) {
    return allocate("rknn_create_mem", handle, size, 0);
}

RKNN_EXPORT abi::tensor_mem * rknn_create_mem2(abi::context handle, uint64_t size, uint64_t flags) {
    return allocate("rknn_create_mem2", handle, size, flags);
}

RKNN_EXPORT abi::tensor_mem * rknn_create_mem_from_fd(abi::context handle, int32_t fd, void * virt, uint32_t size,
                                                      int32_t offset) {
    const char * call = "rknn_create_mem_from_fd";
    return guarded(call, static_cast<abi::tensor_mem *>(nullptr), [&]() -> abi::tensor_mem * {
        const int domain = allocation_domain(call, handle, false);
        if (domain < 0 || fault_fires(fault::alloc)) return nullptr;
        return create_view(domain, fd, virt, size, offset);
    });
}

RKNN_EXPORT abi::tensor_mem * rknn_create_mem_from_phys(abi::context, uint64_t, void *, uint32_t) {
    refuse(abi::param_invalid, "rknn_create_mem_from_phys: an emulator has no physical memory; use rknn_create_mem");
    return nullptr;
}

RKNN_EXPORT int rknn_mem_sync(abi::context handle, abi::tensor_mem * mem, int32_t mode) {
    const char * call = "rknn_mem_sync";
    return guarded(call, int(abi::fail), [&]() -> int {
        if (!mem) return null_argument(call);
        if (!find_context(handle)) return unknown_context(call);
        if (mode < abi::sync_to_device || mode > abi::sync_bidirectional)
            return refuse(abi::param_invalid, "%s: mode %d", call, mode);
        if (device_gone()) return abi::device_unavailable;
        const auto found = find_memory(mem);
        if (!found) return misuse("%s: not a live memory object", call);
        if (fault_fires(fault::sync)) return abi::fail;
        sync_memory(*found, (mode & abi::sync_to_device) != 0, (mode & abi::sync_from_device) != 0);
        return abi::succ;
    });
}

// Any context, also one that is gone, may free: the vendor documents "any" and projects rely on it during teardown.
RKNN_EXPORT int rknn_destroy_mem(abi::context, abi::tensor_mem * mem) {
    return guarded("rknn_destroy_mem", int(abi::fail), [&]() -> int {
        if (!mem) return null_argument("rknn_destroy_mem");
        return destroy_memory(mem) ? int(abi::succ) : misuse("rknn_destroy_mem: not a live memory object");
    });
}

RKNN_EXPORT int rknn_query(abi::context handle, int32_t command, void * info, uint32_t size) {
    return guarded("rknn_query", int(abi::fail), [&]() -> int {
        if (!info) return null_argument("rknn_query");
        if (!find_context(handle) || !config().query) return unknown_context("rknn_query");
        if (command == abi::query_sdk_version && size >= sizeof(abi::sdk_version)) {
            abi::sdk_version version{};
            std::strcpy(version.api_version, "2.3.2 (emulator, no hardware)");
            std::strcpy(version.drv_version, "emulated rknpu 0.9.8 rk3588");
            std::memcpy(info, &version, sizeof(version));
            return abi::succ;
        }
        if (command == abi::query_mem_size && size >= sizeof(abi::mem_size)) {
            abi::mem_size sizes{};
            sizes.total_dma_allocated_size = bytes_in_use();
            std::memcpy(info, &sizes, sizeof(sizes));
            return abi::succ;
        }
        return refuse(abi::param_invalid, "rknn_query: command %d with %u bytes", command, size);
    });
}

RKNN_EXPORT int rknn_emu_get_stats(rknn_emu_stats * out) {
    if (!out || out->struct_size < 2 * sizeof(uint64_t)) return abi::param_invalid;
    rknn_emu_stats all{};
    copy_stats(all);
    const size_t wanted = out->struct_size < sizeof(all) ? size_t(out->struct_size) : sizeof(all);
    all.struct_size = wanted;
    std::memcpy(out, &all, wanted);
    return abi::succ;
}

RKNN_EXPORT int rknn_emu_write_stats(void) {
    return guarded("rknn_emu_write_stats", int(abi::fail),
                   [] { return write_stats() ? int(abi::succ) : int(abi::fail); });
}

RKNN_EXPORT const char * rknn_emu_version(void) {
    return RKNN_EMU_VERSION " (rk3588, emulated)";
}
