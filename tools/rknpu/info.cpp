// rknpu info: the device, its runtime and driver, or why there is none.
//
// Invariant: reads only; the NPU is closed again before anything else happens.
#include "commands.h"

#include "matmul/engine.h"

#include <cstdio>

namespace rknpu {

namespace {

std::string reason(const status & why) {
    return why.message().empty()
               ? "this is no Rockchip board; GGML_RKNPU_RUNTIME=<librknnrt.so of the emulator> runs without one"
               : why.message();
}

int print_info() {
    const auto opened = engine::open(global_settings());
    if (!opened.ok()) {
        std::printf("no NPU: %s\n", reason(opened.status()).c_str());
        return 1;
    }
    const device_info & info = opened.value()->info();
    std::printf("device:   %s\n", info.description.c_str());
    std::printf("chip:     %s, %d cores, %d domains of %.1f GiB\n", info.soc->name, info.soc->n_cores,
                info.soc->n_domains, double(info.soc->domain_bytes) / double(1 << 30));
    std::printf("runtime:  %s%s\n", info.runtime_version.c_str(),
                info.emulated ? " (EMULATED: right results, but its speed says nothing about a board)" : "");
    std::printf("driver:   %s\n", info.driver_version.c_str());
    std::printf("lock:     %s\n",
                opened.value()->lock().path().empty() ? "off" : opened.value()->lock().path().c_str());
    return 0;
}

} // namespace

std::string why_no_npu(const settings & wishes) {
    const auto opened = engine::open(wishes);
    return opened.ok() ? "" : reason(opened.status());
}

void add_info(CLI::App & app, int & exit_code) {
    app.add_subcommand("info", "the device, its runtime and driver, or why there is none")->callback([&exit_code] {
        exit_code = print_info();
    });
}

} // namespace rknpu
