// Where stock llama.cpp's programs, the plugin and its helper are, and the environment they run in.
//
// Invariant: a run on the CPU sees no variable of the plugin, and no run sees LLAMA_ARG_*, which would change its
// arguments behind our back.
#pragma once

#include "base/status.h"
#include "files.h"

#include <string>
#include <utility>
#include <vector>

namespace rknpu {

// Searched in folder (an option of the user's, may be empty), in PATH, and in the llama.cpp of the build.
result<std::string> find_program(const std::string & name, const std::string & folder);

// wanted (an option, may be empty), GGML_BACKEND_PATH, beside this program, or where it was installed.
result<std::string> find_plugin(const std::string & wanted);

// librknpu-exit-gate.so, or empty where it is missing: runs then work, but may have to be repeated.
std::string find_exit_gate();

// The emulator of this build, or empty: it is not installed.
std::string find_emulator();

using assignments = std::vector<std::pair<std::string, std::string>>;
std::vector<std::string> cpu_environment();
std::vector<std::string> npu_environment(const std::string & plugin, const assignments & settings);

// The GGML_RKNPU_* variables of this process that can change a result, apart from those that a run sets itself.
json settings_that_matter();

} // namespace rknpu
