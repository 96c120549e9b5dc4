// The command line as a whole: parsed, and ended such that a script can rely on the exit code.
//
// Invariant: a wrong call is one line on stderr, which names the subcommand and the cure; output that could not be
// written is never passed over in silence.
#pragma once

#include <CLI/CLI.hpp>

namespace rknpu {

// Parses and runs the subcommand, which leaves exit_code. The exit code of the program: of a wrong call 2, and 1 where
// stdout did not take everything that was printed.
int run_command_line(CLI::App & app, int argc, const char * const * argv, const int & exit_code);

} // namespace rknpu
