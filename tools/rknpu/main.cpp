// The command `rknpu`: what this machine's NPU is and which settings are in force.
//
// Invariant: reads only; exit code 0 when an NPU (or the emulator) can be used, 1 when it cannot, 2 for a wrong call.
#include "base/log.h"
#include "base/settings.h"
#include "matmul/engine.h"

#include <CLI/CLI.hpp>

#include <cstdio>

extern "C" char ** environ;

namespace {

int print_info() {
    const auto opened = rknpu::engine::open(rknpu::global_settings());
    if (!opened.ok()) {
        const std::string & why = opened.status().message();
        std::printf(
            "no NPU: %s\n",
            why.empty()
                ? "this is no Rockchip board; GGML_RKNPU_RUNTIME=<librknnrt.so of the emulator> runs without one"
                : why.c_str());
        return 1;
    }
    const rknpu::device_info & info = opened.value()->info();
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

int print_settings(bool markdown) {
    rknpu::global_settings(); // for its complaints about the environment
    const auto rows = rknpu::list_settings(environ);
    if (markdown) {
        std::printf("# Settings\n\nGenerated from the settings table by `rknpu settings --markdown`.\n\n| variable | "
                    "default | meaning |\n|---|---|---|\n");
        for (const auto & row : rows)
            std::printf("| `%s` | %s | %s |\n", row.name.c_str(),
                        row.default_text.empty() ? "(empty)" : row.default_text.c_str(), row.meaning.c_str());
        return 0;
    }
    for (const auto & row : rows) {
        std::printf("%s=%s%s\n    %s\n", row.name.c_str(), row.value.c_str(),
                    row.from_environment ? "   (from the environment)" : "", row.meaning.c_str());
    }
    return 0;
}

} // namespace

int main(int argc, char ** argv) {
    CLI::App app("rknpu: the Rockchip NPU of this machine, as ggml-rknpu sees it");
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("rknpu ") + RKNPU_VERSION);
    const CLI::App * info = app.add_subcommand("info", "the device, its runtime and driver, or why there is none");
    CLI::App * settings = app.add_subcommand("settings", "every setting, its value in force and its meaning");
    bool markdown = false;
    settings->add_flag("--markdown", markdown, "as the page docs/settings.md");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError & e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    return info->parsed() ? print_info() : print_settings(markdown);
}
