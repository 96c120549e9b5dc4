// The two buffer types: plain host memory, and NPU memory for packed weights.
#include "backend/edge.h"
#include "backend/plugin.h"

namespace rknpu {

namespace {

constexpr size_t alignment = 64; // a cache line, and what ggml's CPU kernels like

size_t type_alignment(ggml_backend_buffer_type_t) {
    return alignment;
}

// A plain buffer is the CPU backend's own, under our name.
ggml_backend_buffer_t alloc_plain(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer) buffer->buft = type;
    return buffer;
}

ggml_backend_buffer_t alloc_packed(ggml_backend_buffer_type_t, size_t size) {
    return guarded<ggml_backend_buffer_t>("allocating weights", nullptr, [&] { return new_packed_buffer(size); });
}

size_t packed_alloc_size(ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
    return guarded("sizing a weight", ggml_nbytes(tensor), [&] {
        const auto plan = plan_tensor(tensor);
        if (!plan.ok()) return ggml_nbytes(tensor);
        return reserved_bytes(plan.value());
    });
}

} // namespace

void make_buffer_types(plugin & p) {
    ggml_backend_buffer_type_i plain{};
    plain.get_name = [](ggml_backend_buffer_type_t) { return backend_name; };
    plain.alloc_buffer = alloc_plain;
    plain.get_alignment = type_alignment;
    plain.is_host = [](ggml_backend_buffer_type_t) { return true; };
    p.plain_type = {plain, &p.device, nullptr};

    ggml_backend_buffer_type_i packed{};
    packed.get_name = [](ggml_backend_buffer_type_t) { return "RKNPU_PACKED"; };
    packed.alloc_buffer = alloc_packed;
    packed.get_alignment = type_alignment;
    packed.get_alloc_size = packed_alloc_size;
    packed.is_host = [](ggml_backend_buffer_type_t) { return false; };
    p.packed_type = {packed, &p.device, nullptr};
}

} // namespace rknpu
