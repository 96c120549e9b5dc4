// Registration: ggml's entry points into the plugin.
//
// Invariant: loading the plugin never fails the host. Without a usable NPU it registers no device, says so (at debug
// level where nobody asked for an NPU), and llama.cpp runs as if the plugin were not there.
#include "backend/edge.h"
#include "backend/plugin.h"

#include <algorithm>
#include <cstring>

namespace rknpu {

plugin & the_plugin() {
    static plugin * p = new plugin; // leaked: threads and buffers may outlive static destruction
    return *p;
}

void plugin::note(const placement & p) {
    std::lock_guard<std::mutex> lock(placements_mutex);
    for (placement & known : placements) {
        if (known.owner != p.owner) continue;
        known = p;
        return;
    }
    placements.push_back(p);
}

void plugin::forget(const void * owner) {
    std::lock_guard<std::mutex> lock(placements_mutex);
    placements.erase(
        std::remove_if(placements.begin(), placements.end(), [&](const placement & p) { return p.owner == owner; }),
        placements.end());
}

namespace {

const char * reg_name(ggml_backend_reg_t) {
    return backend_name;
}
size_t reg_device_count(ggml_backend_reg_t) {
    return the_plugin().npu ? 1 : 0;
}
ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t) {
    return &the_plugin().device;
}

ggml_backend_buffer_type_t * extra_buffer_types(ggml_backend_dev_t) {
    static ggml_backend_buffer_type_t list[] = {&the_plugin().packed_type, nullptr};
    return list;
}

void say_what_was_found() {
    static std::once_flag once;
    std::call_once(once, [] {
        const auto & npu = the_plugin().npu;
        if (npu)
            log_debug("%s", npu->info().description.c_str());
        else
            log_debug("%s; no NPU is used", the_plugin().why_none.c_str());
    });
}

void * reg_proc_address(ggml_backend_reg_t, const char * name) {
    if (!std::strcmp(name, "ggml_backend_dev_get_extra_bufts")) return reinterpret_cast<void *>(extra_buffer_types);
    if (!std::strcmp(name, "ggml_backend_set_n_threads")) return reinterpret_cast<void *>(set_n_threads);
    if (!std::strcmp(name, "ggml_backend_set_abort_callback")) return reinterpret_cast<void *>(set_abort_callback);
    // Asked for the line with the system's features, which llama.cpp's programs print once they know how much to say.
    // When the plugin is loaded they do not know yet, and a debug line would be lost or shown to everybody.
    if (!std::strcmp(name, "ggml_backend_get_features")) say_what_was_found();
    return nullptr;
}

void open_npu(plugin & p) {
    auto opened = engine::open(global_settings());
    if (opened.ok()) {
        p.npu = std::move(opened.value());
    } else if (opened.status().message().empty()) {
        p.why_none = "no Rockchip NPU on this machine (GGML_RKNPU_RUNTIME chooses the emulator)";
    } else {
        p.why_none = opened.status().message();
        log_error("%s; no NPU is used", p.why_none.c_str());
    }
}

} // namespace
} // namespace rknpu

extern "C" __attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    using namespace rknpu;
    static const bool once = guarded("loading the plugin", false, [] {
        plugin & p = the_plugin();
        log_to_ggml();
        ggml_backend_reg_i i{};
        i.get_name = reg_name;
        i.get_device_count = reg_device_count;
        i.get_device = reg_device;
        i.get_proc_address = reg_proc_address;
        p.reg = {GGML_BACKEND_API_VERSION, i, nullptr};
        make_buffer_types(p);
        make_device_table(p);
        open_npu(p);
        return true;
    });
    return once ? &the_plugin().reg : nullptr;
}
