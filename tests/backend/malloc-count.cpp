// Counts the program's allocations by standing in front of the C library's malloc; off under sanitizers, which stand
// there themselves.
#include "malloc-count.h"

#include <atomic>
#include <cstddef>

namespace {
std::atomic<size_t> n_allocations{0};
}

size_t rknpu::test::malloc_count() { return n_allocations; }

#if !RKNPU_SANITIZED
extern "C" {
void * __libc_malloc(size_t);
void * __libc_calloc(size_t, size_t);
void * __libc_realloc(void *, size_t);
void * __libc_memalign(size_t, size_t);

void * malloc(size_t size) { return n_allocations++, __libc_malloc(size); }
void * calloc(size_t count, size_t size) { return n_allocations++, __libc_calloc(count, size); }
void * realloc(void * p, size_t size) { return n_allocations++, __libc_realloc(p, size); }
void * aligned_alloc(size_t alignment, size_t size) { return n_allocations++, __libc_memalign(alignment, size); }
int posix_memalign(void ** p, size_t alignment, size_t size) {
    n_allocations++;
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : 12; // ENOMEM
}
}
#endif
