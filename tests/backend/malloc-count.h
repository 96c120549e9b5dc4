// How many allocations the whole program has made.
#pragma once

#include <cstddef>

namespace rknpu::test {

size_t malloc_count(); // stays 0 under sanitizers

} // namespace rknpu::test
