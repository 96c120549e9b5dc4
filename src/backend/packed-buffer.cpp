// A buffer of packed weights: where a model's weights enter the NPU's memory.
//
// ggml gives every tensor an address inside the buffer. Ours are addresses of reserved, inaccessible address space:
// real placement is the pool's business, per weight, and an operation that wrongly reads such a tensor as host memory
// stops at once instead of computing with something else. Invariant: a weight that cannot go to the NPU keeps its own
// bytes and is multiplied by the CPU; loading never fails for want of NPU memory.
#include "backend/edge.h"
#include "backend/weight-group.h"
#include "backend/weight-placer.h"
#include "matmul/stopwatch.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace rknpu {

struct packed_buffer {
    void * base;
    size_t size;
    weight_placer placer; // has the memory that the windows of the tensors look into
    std::vector<std::unique_ptr<packed_tensor>> tensors;
    std::vector<std::unique_ptr<weight_group>> groups;
    std::optional<weight_store> store;
    page_releaser sources; // that were read

    packed_buffer(void * base, size_t size, engine & npu) : base(base), size(size), placer(npu) {}
    ~packed_buffer() {
        tensors.clear();
        munmap(base, size);
    }
};

namespace {

packed_buffer & context_of(ggml_backend_buffer_t buffer) {
    return *static_cast<packed_buffer *>(buffer->context);
}
// The tensor itself, or the one that a view looks into.
const ggml_tensor * whole(const ggml_tensor * tensor) {
    return tensor->view_src ? tensor->view_src : tensor;
}
packed_tensor & extra_of(const ggml_tensor * tensor) {
    return *static_cast<packed_tensor *>(whole(tensor)->extra);
}

weight_group & group_of(packed_buffer & b, const matmul_plan & plan) {
    const bool integer = plan.traits().is_integer(); // others are converted as they are, and need no company
    for (const auto & group : b.groups) {
        if (group->name == plan.group && group->K == plan.K && group->integer == integer) return *group;
    }
    b.groups.push_back(std::make_unique<weight_group>());
    b.groups.back()->name = plan.group;
    b.groups.back()->K = plan.K;
    b.groups.back()->integer = integer;
    b.groups.back()->buffer = &b;
    b.groups.back()->store = b.store ? &*b.store : nullptr;
    return *b.groups.back();
}

void free_buffer(ggml_backend_buffer_t buffer) {
    guarded("freeing weights", false, [&] {
        const std::unique_ptr<packed_buffer> freed(&context_of(buffer)); // whatever is thrown
        the_plugin().weights_generation++;
        for (const auto & t : freed->tensors)
            the_plugin().forget(t.get());
        return true;
    });
}

ggml_status init_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor) {
    return guarded("preparing a weight", GGML_STATUS_FAILED, [&] {
        if (tensor->view_src) return GGML_STATUS_SUCCESS;
        packed_buffer & b = context_of(buffer);
        b.tensors.push_back(std::make_unique<packed_tensor>());
        packed_tensor & t = *b.tensors.back();
        tensor->extra = &t;
        auto plan = plan_tensor(tensor);
        if (plan.ok())
            b.placer.add(&t, tensor, std::move(plan.value()));
        else
            keep_on_cpu(t, tensor, plan.status().message());
        return GGML_STATUS_SUCCESS;
    });
}

store_wishes wishes_for_store() {
    const settings & s = the_plugin().npu->wishes();
    for (const char * word : {"0", "OFF", "none"}) { // what people write for it; a folder would be called otherwise
        if (s.store == word) return {"off", s.pack, s.store_mib << 20};
    }
    if (s.store != "auto") return {s.store, s.pack, s.store_mib << 20, /*makes_parents=*/false};
    const std::string cache = cache_folder();
    if (cache.empty() && s.pack.empty())
        log_warn("packed weights are not kept for the next time: HOME is not set; GGML_RKNPU_STORE=<folder> says where "
                 "to keep them, GGML_RKNPU_STORE=off does without");
    return {cache.empty() ? "off" : cache + "/packed", s.pack, s.store_mib << 20};
}

// What the weights take on disk.
uint64_t stored_bytes(const std::vector<waiting_weight> & weights) {
    uint64_t sum = 0;
    for (const waiting_weight & w : weights)
        sum += w.plan.weight_bytes() + w.plan.n_matrices * w.plan.segments.size() * w.plan.N * sizeof(float);
    return sum;
}

// Before the first bytes come or go.
void place_weights(packed_buffer & b) {
    const std::vector<waiting_weight> placed = b.placer.place();
    for (const waiting_weight & w : placed) {
        w.t->group = &group_of(b, w.t->weight->plan());
        w.t->group->members.push_back(w.t);
    }
    if (placed.empty() || b.store) return;
    guarded("opening the packed weights on disk", false, [&] {
        b.store.emplace(wishes_for_store(), stored_bytes(placed));
        return true;
    });
    for (const auto & group : b.groups)
        group->store = b.store ? &*b.store : nullptr;
}

// All bytes of a weight are there. The weights of a group are converted when the last of them arrives; one that needs
// no others at once.
void convert(packed_tensor & t, const ggml_tensor * tensor, const uint8_t * data) {
    weight_group & group = *t.group;
    if (group.members.size() == 1 || group.prepared || !group.integer) {
        convert_weights(group, {{&t, tensor, data}});
        return;
    }
    if (t.incoming.empty() || data != t.incoming.data()) {
        t.kept = kept_pages::of(data, ggml_nbytes(tensor));
        if (!t.kept.data()) t.incoming.assign(data, data + ggml_nbytes(tensor));
    }
    t.waiting = tensor;
    const bool complete = std::all_of(group.members.begin(), group.members.end(), [](const packed_tensor * member) {
        return member->waiting || member->on_npu() || !member->weight;
    });
    if (complete) finish_loading(t);
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
    for (size_t n = 0; n < size_t(ggml_nrows(tensor)); n++) {
        t.weight->read_row(n, row.data());
        ggml_quantize_chunk(tensor->type, row.data(), bytes.data() + n * row_bytes, 0, 1, tensor->ne[0], nullptr);
    }
    return bytes;
}

// Adds [begin, end) to the bytes that have arrived; true when all of them have.
bool cover(packed_tensor & t, size_t begin, size_t end) {
    for (auto i = t.covered.begin(); i != t.covered.end();) {
        if (i->first > end || i->second < begin) {
            i++;
            continue;
        }
        begin = std::min(begin, i->first);
        end = std::max(end, i->second);
        i = t.covered.erase(i);
    }
    t.covered[begin] = end;
    return begin == 0 && end == t.incoming.size();
}

// A part of a weight: a row can only be quantized whole, so parts are collected, or patch what is there.
void set_part(packed_tensor & t, const ggml_tensor * tensor, const uint8_t * bytes, size_t offset, size_t size) {
    if (t.loaded) {
        std::vector<uint8_t> source = read_back(t, tensor);
        std::memcpy(source.data() + offset, bytes, size);
        convert(t, tensor, source.data());
        return;
    }
    if (t.waiting) { // whole, and not converted yet
        if (t.kept.data()) t.incoming.assign(t.kept.data(), t.kept.data() + ggml_nbytes(tensor));
        t.kept = {};
        std::memcpy(t.incoming.data() + offset, bytes, size);
        return;
    }
    t.incoming.resize(ggml_nbytes(tensor));
    std::memcpy(t.incoming.data() + offset, bytes, size);
    if (!cover(t, offset, offset + size)) return;
    t.covered.clear();
    convert(t, tensor, t.incoming.data());
    if (!t.waiting) t.forget_source();
}

void set_bytes(const ggml_tensor * view, const uint8_t * bytes, size_t offset, size_t size) {
    const ggml_tensor * tensor = whole(view);
    packed_tensor & t = extra_of(tensor);
    if (view != tensor) offset += view->view_offs;
    if (!t.plain.empty()) {
        std::memcpy(t.plain.data() + offset, bytes, size);
    } else if (size == ggml_nbytes(tensor)) {
        convert(t, tensor, bytes);
    } else {
        set_part(t, tensor, bytes, offset, size);
    }
}

bool is_loaded(const packed_buffer & b) {
    return std::all_of(b.tensors.begin(), b.tensors.end(),
                       [](const auto & t) { return t->on_npu() || !t->plain.empty(); });
}

// The store's files are closed, and what was written to them gets its name.
void finish_store(packed_buffer & b) {
    if (b.store && b.store->active() && is_loaded(b)) b.store->finish();
}

void set_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    guarded("loading a weight", false, [&] {
        packed_buffer & b = context_of(buffer);
        place_weights(b);
        const stopwatch watch(the_plugin().npu->count().load_ns, true);
        set_bytes(tensor, static_cast<const uint8_t *>(data), offset, size);
        b.sources.add(data, size);
        finish_store(b);
        if (is_loaded(b)) b.sources.flush();
        return true;
    });
}

void get_tensor(ggml_backend_buffer_t buffer, const ggml_tensor * view, void * data, size_t offset, size_t size) {
    guarded("reading a weight", false, [&] {
        place_weights(context_of(buffer));
        const ggml_tensor * tensor = whole(view);
        const packed_tensor & t = extra_of(tensor);
        finish_loading(t);
        if (view != tensor) offset += view->view_offs;
        const std::vector<uint8_t> bytes = t.plain.empty() ? read_back(t, tensor) : std::vector<uint8_t>();
        std::memcpy(data, (t.plain.empty() ? bytes : t.plain).data() + offset, size);
        return true;
    });
}

void memset_tensor(ggml_backend_buffer_t buffer, ggml_tensor * tensor, uint8_t value, size_t offset, size_t size) {
    guarded("setting a weight", false, [&] {
        packed_buffer & b = context_of(buffer);
        place_weights(b);
        set_bytes(tensor, std::vector<uint8_t>(size, value).data(), offset, size);
        finish_store(b);
        return true;
    });
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
    for (auto & t : context_of(buffer).tensors)
        std::fill(t->plain.begin(), t->plain.end(), value);
}

} // namespace

// The weight object stays allocated, for a stream may still be computing with it; mirrors made from now on do not use
// it.
void keep_on_cpu(packed_tensor & t, const ggml_tensor * tensor, const std::string & reason) {
    t.loaded = false;
    t.plain.assign(ggml_nbytes(tensor), 0);
    the_plugin().weights_generation++;
    the_plugin().note({&t, ggml_get_name(tensor), ggml_type_name(tensor->type), reason, t.plain.size()});
}

void finish_loading(const packed_tensor & t) {
    if (!t.group) return;
    std::vector<arrived_weight> arrived;
    for (packed_tensor * member : t.group->members) {
        if (member->waiting) arrived.push_back({member, member->waiting, member->arrived()});
    }
    if (arrived.empty()) return;
    convert_weights(*t.group, arrived);
    for (const arrived_weight & w : arrived) {
        w.t->waiting = nullptr;
        w.t->forget_source();
    }
    finish_store(*t.group->buffer);
}

ggml_backend_buffer_t new_packed_buffer(size_t size) {
    void * base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    ggml_backend_buffer_i i{};
    i.free_buffer = free_buffer;
    i.get_base = [](ggml_backend_buffer_t b) { return context_of(b).base; };
    i.init_tensor = init_tensor;
    i.memset_tensor = memset_tensor;
    i.set_tensor = set_tensor;
    i.get_tensor = get_tensor;
    i.clear = clear;
    return ggml_backend_buffer_init(&the_plugin().packed_type, i, new packed_buffer(base, size, *the_plugin().npu),
                                    size);
}

} // namespace rknpu
