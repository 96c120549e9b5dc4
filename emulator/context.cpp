// Creation, binding and settings of contexts; see context.h. Running them is in run.cpp.
#include "context.h"

#include "clock.h"
#include "log.h"
#include "settings.h"
#include "stats.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include <fcntl.h>
#include <unistd.h>

namespace rknn_emu {

namespace abi = rknpu::abi;

namespace {

// Values of B_quant_type: 0/1 per layer, 2/3 per channel, 4/5 per group; odd ones are asymmetric.
constexpr int per_channel = 2;
constexpr int per_group = 4;
constexpr int n_quant_types = 6;

int check_type(const abi::matmul_info & info, const type_facts *& type) {
    type = find_type(info.type);
    if (!type)
        return refuse(abi::param_invalid, "unsupported matmul dtype: %s in this platform", matmul_type_name(info.type));
    if (info.B_layout < 0 || info.B_layout > 2 || info.AC_layout < 0 || info.AC_layout > 1)
        return refuse(abi::param_invalid, "unsupported matmul layout: B %d, AC %d", info.B_layout, info.AC_layout);
    if (info.B_quant_type < 0 || info.B_quant_type >= n_quant_types || info.AC_quant_type != 0)
        return refuse(abi::param_invalid, "unsupported quant type: B %d, AC %d", info.B_quant_type, info.AC_quant_type);
    const bool only_float_result = info.B_quant_type >= per_group && info.type != abi::i8_i8_to_f32;
    const bool refused_float = info.B_quant_type / 2 * 2 == per_channel && info.type == abi::i8_i8_to_f32;
    if (only_float_result || refused_float)
        return refuse(abi::param_invalid, "unsupported quant type: B %d with %s", info.B_quant_type, type->name);
    if (type->input == rknpu::element::i4 && info.B_layout == abi::layout_norm && !config().i4_norm_b)
        return refuse(abi::param_invalid, "unsupported matmul layout: %s with B in normal layout", type->name);
    return abi::succ;
}

size_t which_operand(const char * name) {
    return name[0] >= 'A' && name[0] <= 'C' && name[1] == '\0' ? size_t(name[0] - 'A') : 3;
}

} // namespace

int check_shape(const abi::matmul_info & info, const abi::matmul_shape & wanted, shape & out) {
    const type_facts * type = nullptr;
    if (const int code = check_type(info, type)) return code;
    const rknpu::tile_shape & tile = config().chip->tile(type->input);
    if (wanted.M <= 0 || wanted.K <= 0 || wanted.N <= 0)
        return refuse(abi::param_invalid, "invalid matmul shape: M %d, K %d, N %d", wanted.M, wanted.K, wanted.N);
    if (wanted.K % tile.k_align != 0 || wanted.N % tile.n_align != 0)
        return refuse(abi::param_invalid, "invalid matmul shape: K %d must be a multiple of %d and N %d of %d for %s",
                      wanted.K, tile.k_align, wanted.N, tile.n_align, type->name);
    out = {size_t(wanted.M), size_t(wanted.K), size_t(wanted.N), type, config().chip};
    const uint64_t largest = config().chip->allocation_bytes_max;
    if (out.bytes_a() > largest || out.bytes_b() > largest || out.bytes_c() > largest)
        return refuse(abi::param_invalid, "matmul shape too large: M %d, K %d, N %d", wanted.M, wanted.K, wanted.N);
    return abi::succ;
}

int matmul_context::create(const abi::matmul_info & info, const abi::matmul_shape * shapes, int n_shapes,
                           abi::matmul_io_attr * io, std::shared_ptr<matmul_context> & out) {
    if (info.iommu_domain_id < 0 || info.iommu_domain_id >= config().chip->n_domains)
        return refuse(abi::param_invalid, "invalid iommu_domain_id %d: 0 to %d exist", info.iommu_domain_id,
                      config().chip->n_domains - 1);
    auto ctx = std::make_shared<matmul_context>();
    ctx->info_ = info;
    uint64_t internal = config().context_bytes;
    for (int i = 0; i < n_shapes; i++) {
        shape s{};
        if (const int code = check_shape(info, shapes[i], s)) return code;
        if (info.B_layout != abi::layout_tp_norm && (shapes[i].K != shapes[0].K || shapes[i].N != shapes[0].N))
            return refuse(abi::param_invalid, "dynamic shapes may differ in M only unless B is TP_NORM");
        // what the runtime keeps for operands that are not native lives on the device too
        uint64_t copies = config().context_bytes;
        if (info.B_layout != abi::layout_native) copies += s.bytes_b();
        if (info.AC_layout != abi::layout_native) copies += s.bytes_a() + s.bytes_c();
        internal = copies > internal ? copies : internal;
        describe(s, info.B_layout, info.AC_layout, io[i]);
        ctx->shapes_.push_back(s);
        ctx->attrs_.push_back(io[i]);
    }
    if (!ctx->space_.take(info.iommu_domain_id, internal, true)) return abi::malloc_fail;
    if (!ctx->fds_.take(config().context_fds)) return abi::fail;
    const shape & s = ctx->shapes_[0];
    log_info("context %s M %zu K %zu N %zu, B layout %d, AC layout %d, domain %d", s.type->name, s.M, s.K, s.N,
             info.B_layout, info.AC_layout, info.iommu_domain_id);
    out = std::move(ctx);
    return abi::succ;
}

int matmul_context::set_io_mem(const std::shared_ptr<memory> & mem, const abi::matmul_tensor_attr & attr) {
    const size_t which = which_operand(attr.name);
    const abi::matmul_io_attr & io = attrs_[active_];
    const abi::matmul_tensor_attr * const own[] = {&io.A, &io.B, &io.C};
    if (which == 3 || attr.size != own[which]->size)
        return refuse(abi::param_invalid,
                      "rknn_matmul_set_io_mem: attribute is not that of A, B or C of the current shape");
    if (mem->size < attr.size)
        return refuse(abi::param_invalid, "rknn_matmul_set_io_mem: %s needs %u bytes, the memory has %zu", attr.name,
                      attr.size, mem->size);
    if (mem->domain != domain())
        return refuse(abi::malloc_fail,
                      "failed to convert fd to handle, ret: -1, errno: %d: memory of domain %d, context of %d", ENOMEM,
                      mem->domain, domain());
    operand & op = operands_[which];
    const shape & s = shapes_[active_];
    op.mem = mem;
    op.bound = true;
    op.converted.clear();
    stats().binds++;
    op.bound_us = clock_bind();
    const int layout = which == 1 ? info_.B_layout : info_.AC_layout;
    if (which == 2 && !config().arithmetic) std::memset(mem->device(), 0, s.bytes_c());
    if (which == 2 || layout == abi::layout_native) return abi::succ;
    stats().bind_conversions++;
    op.converted.resize(which == 0 ? s.bytes_a() : s.bytes_b());
    if (which == 0)
        native_a_from_norm(s, mem->device(), op.converted.data());
    else if (layout == abi::layout_norm)
        native_b_from_norm(s, mem->device(), op.converted.data());
    else
        native_b_from_tp_norm(s, mem->device(), op.converted.data());
    return abi::succ;
}

int matmul_context::set_core_mask(int32_t mask) {
    switch (mask) {
    case abi::core_auto:
        core_ = -1;
        return abi::succ;
    case abi::core_0:
        core_ = 0;
        return abi::succ;
    case abi::core_1:
        core_ = 1;
        return abi::succ;
    case abi::core_2:
        core_ = 2;
        return abi::succ;
    default:
        core_ = -1;
        return refuse(abi::fail, "Not support core mask: %d, fallback to single core auto mode", mask);
    }
}

int matmul_context::set_quant_params(const abi::quant_params & params) {
    const size_t which = which_operand(params.name);
    if (which == 3 || !params.scale || params.scale_len <= 0 || params.zp_len < 0 || (params.zp_len > 0 && !params.zp))
        return refuse(abi::param_invalid, "rknn_matmul_set_quant_params: name must be A, B or C and the scales given");
    const shape & s = shapes_[active_];
    if (s.type->input != rknpu::element::i8)
        return refuse(abi::param_invalid, "rknn_matmul_set_quant_params: not for %s", s.type->name);
    const size_t wanted = which == 1 && info_.B_quant_type / 2 * 2 == per_channel ? s.N : 1;
    const bool grouped = which == 1 && info_.B_quant_type >= per_group;
    if (!grouped && size_t(params.scale_len) != wanted)
        return refuse(abi::param_invalid, "rknn_matmul_set_quant_params: %s has %d scales, wanted %zu", params.name,
                      params.scale_len, wanted);
    for (int32_t i = 0; i < params.zp_len; i++)
        if (params.zp[i] != 0)
            return refuse(abi::param_invalid, "rknn_matmul_set_quant_params: zero points are not modelled");
    scales_[which].assign(params.scale, params.scale + params.scale_len);
    // Reported of RK3588 with 2.3.2 and 2.4.2: i8 to i32 with scales per channel gives zeros.
    zero_result_ = zero_result_ || (which == 1 && info_.type != abi::i8_i8_to_i8 && wanted > 1);
    return abi::succ;
}

int matmul_context::get_quant_params(abi::quant_params & params, float & scale) const {
    if (info_.type != abi::i8_i8_to_i32 || info_.B_quant_type / 2 * 2 != per_channel || scales_[1].empty() ||
        !params.scale || params.scale_len < int32_t(scales_[1].size()))
        return refuse(abi::param_invalid,
                      "rknn_matmul_get_quant_params: only i8 to i32 with B's scales set per channel");
    std::memcpy(params.scale, scales_[1].data(), scales_[1].size() * sizeof(float));
    params.scale_len = int32_t(scales_[1].size());
    scale = 1.0f;
    return abi::succ;
}

int matmul_context::set_dynamic_shape(const abi::matmul_shape & wanted) {
    for (size_t i = 0; i < shapes_.size(); i++) {
        const shape & s = shapes_[i];
        if (s.M != size_t(wanted.M) || s.K != size_t(wanted.K) || s.N != size_t(wanted.N)) continue;
        active_ = i;
        // A and C must be bound anew; B stays unless its size may have changed
        operands_[0] = operands_[2] = operand();
        if (info_.B_layout == abi::layout_tp_norm) operands_[1] = operand();
        return abi::succ;
    }
    return refuse(abi::param_invalid, "rknn_matmul_set_dynamic_shape: M %d K %d N %d was not given at creation",
                  wanted.M, wanted.K, wanted.N);
}

context_guard::context_guard(matmul_context & ctx, const char * call) : ctx_(ctx), ok_(!ctx.in_use.exchange(true)) {
    if (!ok_) misuse("%s: another thread is using this context", call);
}

context_guard::~context_guard() {
    if (ok_) ctx_.in_use = false;
}

namespace {

struct registry {
    std::mutex mutex;
    std::map<abi::context, std::shared_ptr<matmul_context>> contexts;
    abi::context next = 0x52490001; // not a small number, so that an index is never taken for a handle
};

registry & handles() {
    static registry * const r = new registry;
    return *r;
}

} // namespace

abi::context publish_context(std::shared_ptr<matmul_context> ctx) {
    counters & c = stats();
    c.contexts_created++;
    c.objects_created++;
    raise(c.contexts_live, c.contexts_live_max);
    registry & r = handles();
    std::lock_guard<std::mutex> lock(r.mutex);
    r.contexts[r.next] = std::move(ctx);
    return r.next++;
}

std::shared_ptr<matmul_context> find_context(abi::context handle) {
    registry & r = handles();
    std::lock_guard<std::mutex> lock(r.mutex);
    const auto found = r.contexts.find(handle);
    return found == r.contexts.end() ? nullptr : found->second;
}

void forget_context(abi::context handle) {
    std::shared_ptr<matmul_context> ctx; // ends after the lock: its destructor gives space and descriptors back
    registry & r = handles();
    std::lock_guard<std::mutex> lock(r.mutex);
    const auto found = r.contexts.find(handle);
    if (found == r.contexts.end()) return;
    ctx = std::move(found->second);
    r.contexts.erase(found);
    lower(stats().contexts_live);
}

} // namespace rknn_emu
