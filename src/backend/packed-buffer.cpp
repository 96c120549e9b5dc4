// A buffer of packed weights: where a model's weights enter the NPU's memory.
//
// ggml gives every tensor an address inside the buffer. Ours are addresses of reserved, inaccessible address space:
// real placement is the pool's business, per weight, and an operation that wrongly reads such a tensor as host memory
// stops at once instead of computing with something else. Invariant: a weight that cannot go to the NPU keeps its own
// bytes and is multiplied by the CPU; loading never fails for want of NPU memory.
#include "backend/edge.h"
#include "backend/plugin.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace rknpu {

namespace {

struct packed_buffer {
    void * base;
    size_t size;
    weight_pool pool;
    std::vector<std::unique_ptr<packed_tensor>> tensors;

    packed_buffer(void * base, size_t size, engine & npu)
        : base(base), size(size), pool(npu.npu(), npu.ledger(), size_t(npu.wishes().pool_mib) << 20, 0) {
        npu.hold_back_memory();
    }
    ~packed_buffer() {
        tensors.clear(); // their windows look into the pool
        munmap(base, size);
    }
};

packed_buffer & context_of(ggml_backend_buffer_t buffer) {
    return *static_cast<packed_buffer *>(buffer->context);
}
packed_tensor & extra_of(const ggml_tensor * tensor) {
    return *static_cast<packed_tensor *>(tensor->extra);
}

void keep_on_cpu(packed_tensor & t, const ggml_tensor * tensor, const std::string & reason) {
    t.weight.reset();
    t.plain.assign(ggml_nbytes(tensor), 0);
    the_plugin().note({ggml_get_name(tensor), ggml_type_name(tensor->type), reason, t.plain.size()});
}

ggml_status init_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor) {
    return guarded("preparing a weight", GGML_STATUS_FAILED, [&] {
        if (tensor->view_src) return GGML_STATUS_SUCCESS;
        packed_buffer & b = context_of(buffer);
        b.tensors.push_back(std::make_unique<packed_tensor>());
        packed_tensor & t = *b.tensors.back();
        tensor->extra = &t;
        engine & npu = *the_plugin().npu;
        const auto plan = plan_tensor(tensor);
        if (!plan.ok()) {
            keep_on_cpu(t, tensor, plan.status().message());
            return GGML_STATUS_SUCCESS;
        }
        auto weight = packed_weight::create(npu, b.pool, plan.value(), b.size - std::min(b.size, b.pool.bytes()));
        if (weight.ok()) {
            t.weight = std::move(weight.value());
        } else {
            log_warn("%s stays on the CPU: %s", ggml_get_name(tensor), weight.status().message().c_str());
            keep_on_cpu(t, tensor, weight.status().message());
        }
        return GGML_STATUS_SUCCESS;
    });
}

void convert(packed_tensor & t, const ggml_tensor * tensor, const uint8_t * data) {
    const auto to_f32 = ggml_get_type_traits(tensor->type)->to_float;
    const size_t row_bytes = ggml_row_size(tensor->type, tensor->ne[0]);
    const size_t K = size_t(tensor->ne[0]);
    const status s = t.weight->load([&](size_t n, float * row) {
        if (tensor->type == GGML_TYPE_F32)
            std::memcpy(row, data + n * row_bytes, K * sizeof(float));
        else
            to_f32(data + n * row_bytes, row, int64_t(K));
    });
    t.loaded = s.ok();
    if (s.ok()) {
        const matmul_plan & plan = t.weight->plan();
        the_plugin().note({ggml_get_name(tensor), format_name(plan.numeric_format), "", plan.weight_bytes()});
        return;
    }
    log_warn("%s stays on the CPU: %s", ggml_get_name(tensor), s.message().c_str());
    keep_on_cpu(t, tensor, s.message());
    std::memcpy(t.plain.data(), data, t.plain.size());
}

void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    guarded("loading a weight", false, [&] {
        packed_tensor & t = extra_of(tensor);
        const auto * bytes = static_cast<const uint8_t *>(data);
        if (!t.weight) {
            std::memcpy(t.plain.data() + offset, bytes, size);
        } else if (size == ggml_nbytes(tensor)) {
            convert(t, tensor, bytes);
        } else { // in pieces: a row can only be quantized whole
            t.incoming.resize(ggml_nbytes(tensor));
            std::memcpy(t.incoming.data() + offset, bytes, size);
            t.incoming_bytes += size;
            if (t.incoming_bytes < t.incoming.size()) return true;
            convert(t, tensor, t.incoming.data());
            t.incoming = {};
            t.incoming_bytes = 0;
        }
        return true;
    });
}

// A weight as its codes have it, in the tensor's own type: for whoever saves or copies a loaded model.
std::vector<uint8_t> read_back(const packed_tensor & t, const ggml_tensor * tensor) {
    const size_t row_bytes = ggml_row_size(tensor->type, tensor->ne[0]);
    std::vector<uint8_t> bytes(ggml_nbytes(tensor), 0);
    if (ggml_quantize_requires_imatrix(tensor->type)) {
        log_error("%s cannot be read back as %s: that type needs an importance matrix", ggml_get_name(tensor),
                  ggml_type_name(tensor->type));
        return bytes;
    }
    std::vector<float> row(size_t(tensor->ne[0]));
    for (size_t n = 0; n < size_t(tensor->ne[1]); n++) {
        t.weight->read_row(n, row.data());
        ggml_quantize_chunk(tensor->type, row.data(), bytes.data() + n * row_bytes, 0, 1, tensor->ne[0], nullptr);
    }
    return bytes;
}

void get_tensor(ggml_backend_buffer_t, const ggml_tensor * tensor, void * data, size_t offset, size_t size) {
    guarded("reading a weight", false, [&] {
        const packed_tensor & t = extra_of(tensor);
        const std::vector<uint8_t> bytes = t.weight ? read_back(t, tensor) : std::vector<uint8_t>();
        std::memcpy(data, (t.weight ? bytes : t.plain).data() + offset, size);
        return true;
    });
}

void set_bytes(const ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) {
    const std::vector<uint8_t> bytes(size, value);
    set_tensor(nullptr, const_cast<ggml_tensor *>(tensor), bytes.data(), offset, size);
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
    for (auto & t : context_of(buffer).tensors)
        std::fill(t->plain.begin(), t->plain.end(), value);
}

} // namespace

ggml_backend_buffer_t new_packed_buffer(size_t size) {
    void * base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    ggml_backend_buffer_i i{};
    i.free_buffer = [](ggml_backend_buffer_t b) { delete static_cast<packed_buffer *>(b->context); };
    i.get_base = [](ggml_backend_buffer_t b) { return context_of(b).base; };
    i.init_tensor = init_tensor;
    i.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor * t, uint8_t value, size_t offset, size_t n) {
        set_bytes(t, value, offset, n);
    };
    i.set_tensor = set_tensor;
    i.get_tensor = get_tensor;
    i.clear = clear;
    return ggml_backend_buffer_init(&the_plugin().packed_type, i, new packed_buffer(base, size, *the_plugin().npu),
                                    size);
}

} // namespace rknpu
