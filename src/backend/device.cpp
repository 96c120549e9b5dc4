// The device table: a complete GPU-type device. It takes every operation that the CPU backend takes, so the scheduler
// hands over whole graphs; only matmuls on packed weights become NPU jobs (stream.cpp).
//
// Invariant: supports_op is a pure function of the operation and its tensors' buffer types.
#include "backend/edge.h"
#include "backend/plugin.h"
#include "device/board.h"

#include <string>

namespace rknpu {

ggml_backend_dev_t cpu_device() {
    static ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return cpu;
}

bool is_packed(const ggml_tensor * t) {
    if (!t) return false;
    const ggml_backend_buffer_t buffer = t->view_src ? t->view_src->buffer : t->buffer;
    return buffer && buffer->buft == &the_plugin().packed_type;
}

result<matmul_plan> plan_tensor(const ggml_tensor * weight) {
    const engine & npu = *the_plugin().npu;
    if (weight->ne[3] != 1) return status(errc::unsupported, "weights of four dimensions are multiplied by the CPU");
    const double bits = 8.0 * double(ggml_type_size(weight->type)) / double(ggml_blck_size(weight->type));
    return plan_weight({ggml_get_name(weight), weight->ne[0], weight->ne[1], weight->ne[2], bits}, *npu.info().soc,
                       npu.planning());
}

namespace {

bool converts_to_f32(ggml_type type) {
    return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float;
}

// Rows that we can read: elements next to each other, of a type with a conversion to f32.
bool is_readable_activation(const ggml_tensor * t) {
    return t->nb[0] == ggml_type_size(t->type) && converts_to_f32(t->type);
}

// Stacks are for MUL_MAT_ID, single weights for MUL_MAT.
bool is_npu_op(const ggml_tensor * op) {
    return op->op == (op->src[0]->ne[2] > 1 ? GGML_OP_MUL_MAT_ID : GGML_OP_MUL_MAT);
}

// llama.cpp's loader asks for each weight and each of our buffer types in turn, with a dummy buffer of size 0: a weight
// that the NPU can take is refused in plain memory, so that the loader asks again with the packed type.
bool belongs_into_packed_memory(const ggml_tensor * op) {
    const ggml_tensor * weight = op->src[0];
    if (!is_npu_op(op) || !weight->buffer) return false;
    if (weight->buffer->buft != &the_plugin().plain_type || weight->buffer->size != 0) return false;
    return converts_to_f32(weight->type) && plan_tensor(weight).ok();
}

// Any tensor may land in a packed buffer (LoRA adapters follow their base weight, -ot puts what it likes): those that
// the NPU does not take are multiplied by the CPU, as is a weight that finds no NPU memory. Views of packed tensors
// have no rows of their own to multiply.
bool supports_packed(const ggml_tensor * op) {
    const ggml_tensor * weight = op->src[0];
    if (weight->view_src || is_packed(op->src[1]) || !is_readable_activation(op->src[1])) return false;
    if (!is_npu_op(op) && plan_tensor(weight).ok()) return false;
    return ggml_backend_dev_supports_op(cpu_device(), op);
}

bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) {
    return guarded("supports_op", false, [&] {
        if (is_matmul(op)) {
            if (is_packed(op->src[0])) {
                return supports_packed(op);
            }
            if (belongs_into_packed_memory(op)) return false;
        }
        for (const ggml_tensor * source : op->src) {
            if (is_packed(source)) return false;
        }
        return ggml_backend_dev_supports_op(cpu_device(), op);
    });
}

bool supports_buft(ggml_backend_dev_t, ggml_backend_buffer_type_t type) {
    const plugin & p = the_plugin();
    return type == &p.plain_type || type == &p.packed_type || ggml_backend_dev_supports_buft(cpu_device(), type);
}

// llama.cpp fits a model before it loads it: it adds up the sizes of all buffers that would lie on this device, those
// of both buffer types, KV cache and activations among them, and keeps 1 GiB of `free` over (common/fit.cpp), with
// fewer layers on the device if need be. All of these are pages of the machine, for the NPU has none of its own; so
// what it may have is what the machine can give without swapping. Limits of the NPU's own (domains,
// GGML_RKNPU_MEMORY_MIB) are not in this figure: what they keep off the NPU lies in the same memory, and is multiplied
// by the CPU.
void device_memory_bytes(ggml_backend_dev_t, size_t * free, size_t * total) {
    const auto memory = guarded("reading /proc/meminfo", memory_bytes{}, [] { return machine_memory(); });
    *total = memory.total;
    *free = memory.available;
}

const char * device_get_name(ggml_backend_dev_t) {
    return device_name;
}
const char * device_description(ggml_backend_dev_t) {
    return the_plugin().npu->info().description.c_str();
}
enum ggml_backend_dev_type device_type(ggml_backend_dev_t) {
    return GGML_BACKEND_DEVICE_TYPE_GPU;
}

void device_props(ggml_backend_dev_t dev, ggml_backend_dev_props * props) {
    *props = {};
    props->name = device_name;
    props->description = device_description(dev);
    props->type = device_type(dev);
    device_memory_bytes(dev, &props->memory_free, &props->memory_total);
    props->caps.buffer_from_host_ptr = true; // plain weights stay in the mapped file
    props->caps.mmap_support = true;
}

ggml_backend_buffer_t buffer_from_host_ptr(ggml_backend_dev_t, void * ptr, size_t size, size_t) {
    ggml_backend_buffer_t buffer = ggml_backend_cpu_buffer_from_ptr(ptr, size);
    if (buffer) buffer->buft = &the_plugin().plain_type;
    return buffer;
}

} // namespace

void make_device_table(plugin & p) {
    ggml_backend_device_i i{};
    i.get_name = device_get_name;
    i.get_description = device_description;
    i.get_memory = device_memory_bytes;
    i.get_type = device_type;
    i.get_props = device_props;
    i.init_backend = [](ggml_backend_dev_t, const char *) { return new_stream(); };
    i.get_buffer_type = [](ggml_backend_dev_t) { return &the_plugin().plain_type; };
    i.buffer_from_host_ptr = buffer_from_host_ptr;
    i.supports_op = supports_op;
    i.supports_buft = supports_buft;
    p.device = {i, &p.reg, nullptr};
}

} // namespace rknpu
