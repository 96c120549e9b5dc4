// The command `rknpu`: what this machine's NPU is and lacks, how faithful its formats are, how to calibrate them, and
// how to pack a model.
//
// Invariant: nothing but the choice of a subcommand happens here.
#include "commands.h"

#include <cstdio>

namespace rknpu {

int explain(const char * command, const status & why) {
    std::fprintf(stderr, "rknpu %s: %s\n", command, why.message().c_str());
    return why.code() == errc::invalid_argument ? 2 : 1;
}

} // namespace rknpu

int main(int argc, char ** argv) {
    CLI::App app("rknpu: the Rockchip NPU of this machine, as ggml-rknpu sees it");
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("rknpu ") + RKNPU_VERSION);
    int exit_code = 0;
    rknpu::add_info(app, exit_code);
    rknpu::add_doctor(app, exit_code);
    rknpu::add_settings(app, exit_code);
    rknpu::add_fidelity(app, exit_code);
    rknpu::add_calibrate(app, exit_code);
    rknpu::add_bench(app, exit_code);
    rknpu::add_pack(app, exit_code);
#ifdef RKNPU_READS_GGUF
    rknpu::add_plan(app, exit_code);
    rknpu::add_predict(app, exit_code);
    rknpu::add_sensitivity(app, exit_code);
#endif
    rknpu::add_pages(app);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError & e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    return exit_code;
}
