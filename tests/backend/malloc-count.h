// How many allocations the program makes, by standing in front of the C library's malloc. The emulator's own are left
// out: it stands for hardware.
#pragma once

#include <cstddef>
#include <functional>

namespace rknpu::test {

// Allocations on all threads while body runs, except those made below a function of `library` (a path, as loaded).
// Always 0 under sanitizers, which stand in front of malloc themselves.
size_t allocations_outside(const char * library, const std::function<void()> & body);

} // namespace rknpu::test
