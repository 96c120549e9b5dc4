// CPU threads that stand for the NPU's multipliers: one pool for all cores.
//
// Invariant: at most RKNN_EMU_THREADS pieces are multiplied at once, beside those that the callers themselves work on;
// threads start with the first big job and end with the process (the library is never unloaded).
#pragma once

#include <cstddef>
#include <functional>

namespace rknn_emu {

// Calls body(0) .. body(count - 1), on this thread and on idle workers; returns when all are done. body must not throw.
void run_pieces(size_t count, const std::function<void(size_t)> & body);

} // namespace rknn_emu
