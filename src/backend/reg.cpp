// Registration: ggml's entry points into the plugin.
//
// Invariant: loading the plugin never fails the host. Without a usable NPU it registers no device, says so (at debug level
// where nobody asked for an NPU), and llama.cpp runs as if the plugin were not there.
#include "backend/edge.h"
#include "backend/plugin.h"

#include <cstring>

namespace rknpu {

plugin & the_plugin() {
    static plugin * p = new plugin; // leaked: threads and buffers may outlive static destruction
    return *p;
}

void plugin::note(placement p) {
    std::lock_guard<std::mutex> lock(placements_mutex);
    placements.push_back(std::move(p));
}

namespace {

const char * reg_name(ggml_backend_reg_t) { return backend_name; }
size_t reg_device_count(ggml_backend_reg_t) { return the_plugin().npu ? 1 : 0; }
ggml_backend_dev_t reg_device(ggml_backend_reg_t, size_t) { return &the_plugin().device; }

ggml_backend_buffer_type_t * extra_buffer_types(ggml_backend_dev_t) {
    static ggml_backend_buffer_type_t list[] = {&the_plugin().packed_type, nullptr};
    return list;
}

void * reg_proc_address(ggml_backend_reg_t, const char * name) {
    if (!std::strcmp(name, "ggml_backend_dev_get_extra_bufts")) return reinterpret_cast<void *>(extra_buffer_types);
    if (!std::strcmp(name, "ggml_backend_set_n_threads")) return reinterpret_cast<void *>(set_n_threads);
    if (!std::strcmp(name, "ggml_backend_set_abort_callback")) return reinterpret_cast<void *>(set_abort_callback);
    return nullptr;
}

void open_npu(plugin & p) {
    auto opened = engine::open(global_settings());
    if (opened.ok()) {
        p.npu = std::move(opened.value());
        log_debug("%s", p.npu->info().description.c_str());
    } else if (opened.status().message().empty()) {
        log_debug("no Rockchip NPU on this machine; set GGML_RKNPU_RUNTIME to run on the emulator");
    } else {
        log_error("%s; no NPU is used", opened.status().message().c_str());
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
