// Splits independent work over the machine's CPU threads; for load time only (the per-token path uses ggml's threads).
#pragma once

#include <cstddef>
#include <functional>

namespace rknpu {

// Calls body(begin, end) on disjoint ranges that cover [0, count), each a multiple of grain long but the last.
// Returns when all are done. The first exception of a body is rethrown here.
void parallel_for(size_t count, size_t grain, const std::function<void(size_t begin, size_t end)> & body);

} // namespace rknpu
