// The command `rknpu`: what this machine's NPU is and lacks, how faithful its formats are, how to calibrate them, and
// how to pack a model.
//
// Invariant: nothing but the choice of a subcommand happens here.
#include "command-line.h"
#include "commands.h"

#include <csignal>

int main(int argc, char ** argv) {
    std::signal(SIGXFSZ, SIG_IGN); // a limit on the size of files is a failure to write, which says so
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
    return rknpu::run_command_line(app, argc, argv, exit_code);
}
