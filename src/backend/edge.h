// The edge between our C++ and ggml's C: nothing is thrown past it, log lines go to ggml's log.
//
// Invariant: every function pointer handed to ggml either cannot throw or runs its body through guarded().
#pragma once

#include "base/log.h"
#include "base/status.h"

#include <exception>

namespace rknpu {

// Sends log lines to ggml's log callback from now on.
void log_to_ggml();

// Runs body; a bug of ours (or a failed host allocation) is reported, and on_failure returned.
template <class T, class F> T guarded(const char * where, T on_failure, F && body) noexcept {
    try {
        try {
            return body();
        } catch (const std::exception & e) {
            log_error("%s failed: %s; please report this", where, e.what());
        } catch (...) {
            log_error("%s failed by an unknown exception; please report this", where);
        }
    } catch (...) { // not even memory for the line
    }
    return on_failure;
}

} // namespace rknpu
