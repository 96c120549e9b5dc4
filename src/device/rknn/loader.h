// Opens the vendor's runtime library, or the emulator in its place, and finds its entry points.
//
// Invariant: every function pointer is set in a loaded runtime. The library is never closed: threads of its own may
// run.
#pragma once

#include "base/status.h"
#include "device/rknn/abi.h"

#include <string>

namespace rknpu {

struct rknn_runtime : abi::functions {
    std::string path;
    bool emulated = false; // the library says it is the emulator
};

// Opens one library file. status: not_found (no such file), incompatible (not a library for this machine, a symbol
// missing, or older than runtime 2.1).
result<rknn_runtime> load_runtime(const std::string & path);

// The library that the setting names, or the first of the usual places that exists.
result<rknn_runtime> find_runtime(const std::string & setting);

} // namespace rknpu
