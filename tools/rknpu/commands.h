// The subcommands of `rknpu`: each file adds its own to the command line and leaves an exit code.
//
// Invariant: exit codes are 0 for done, 1 for a failure, 2 for a wrong call, 3 for a model that does not fit
// (predict), 128 + signal after Ctrl-C.
#pragma once

#include "base/settings.h"
#include "base/status.h"
#include "files.h"

#include <CLI/CLI.hpp>

#include <string>

namespace rknpu {

void add_info(CLI::App & app, int & exit_code);
void add_doctor(CLI::App & app, int & exit_code);
void add_settings(CLI::App & app, int & exit_code);
void add_fidelity(CLI::App & app, int & exit_code);
void add_calibrate(CLI::App & app, int & exit_code);
void add_bench(CLI::App & app, int & exit_code);
void add_pack(CLI::App & app, int & exit_code);
void add_plan(CLI::App & app, int & exit_code);
void add_predict(CLI::App & app, int & exit_code);
void add_sensitivity(CLI::App & app, int & exit_code);

// After all others: they describe them.
void add_pages(CLI::App & app);

// The settings table as JSON, each value with its source; environment: this process's.
json settings_in_force(const char * const * environment);

// Empty where an NPU (or the emulator) can be used, otherwise the reason for the user.
std::string why_no_npu(const settings & wishes);
// The same of a status that opening one gave.
std::string why_no_npu(const status & why);

// status: invalid_argument, which names the option, unless text is a value of GGML_RKNPU_FORMAT.
status check_format(const std::string & option, const std::string & text);

// The exit code of a command that ended so. A failure is explained in one line on stderr, but not an interruption (see
// child.h), which was.
int exit_code_of(const std::string & command, const status & done);

} // namespace rknpu
