// One child process at a time: its output as it comes, its end, and Ctrl-C.
//
// Invariant: when run_child returns, the child has ended; a child never outlives this process.
#pragma once

#include "base/status.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rknpu {

struct child_call {
    std::vector<std::string> argv;        // argv[0]: the path of the program
    std::vector<std::string> environment; // NAME=value, the whole of it
    std::string log_path;                 // receives all output
    std::string exit_gate;                // librknpu-exit-gate.so, or empty to do without (see exit-gate.cpp)
    std::function<void(std::string_view)> on_output;
    std::function<bool()> has_said_all;    // with a gate: whether the child may go without further waiting
    std::function<bool()> is_in_vain = {}; // whether the child shall be ended, for nothing can come of it any more
};

struct child_end {
    int exit_code = 0;
    int signal = 0; // that ended it, or 0
};

// SIGINT, SIGTERM and SIGHUP from now on end the child, not this process.
void watch_interrupts();
// The signal that came, or 0.
int interrupted();
// What a function returns that such a signal has ended: no message, for its caller says how far it came.
status interruption();

// status: permission (the log cannot be written), out_of_memory (no process or pipe).
result<child_end> run_child(const child_call & call);

} // namespace rknpu
