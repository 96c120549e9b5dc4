// Working memory of the matrix kernels: one growing buffer per thread.
//
// Invariant: a kernel uses it only within one call, so nothing in it outlives the call.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rknpu::kernels {

// At least `count` values, 64-byte aligned, contents undefined; valid until the thread's next call.
int32_t * thread_scratch(size_t count);

} // namespace rknpu::kernels
