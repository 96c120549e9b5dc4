// See malloc-count.h. Whether a library is in the call is read from the stack, frame by frame.
#include "malloc-count.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <execinfo.h>
#include <link.h>

namespace {

std::atomic<bool> counting{false};
std::atomic<size_t> n_counted{0};
uintptr_t library_begin, library_end;
thread_local bool inside = false; // backtrace allocates when first used

struct search {
    const char * path;
};

int note_library(dl_phdr_info * info, size_t, void * data) {
    if (!std::strstr(info->dlpi_name, static_cast<search *>(data)->path)) return 0;
    library_begin = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto & segment = info->dlpi_phdr[i];
        if (segment.p_type == PT_LOAD) library_end = info->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    }
    return 1;
}

[[maybe_unused]] void count() {
    if (!counting || inside) return;
    inside = true;
    void * frames[64];
    const int n = backtrace(frames, 64);
    bool in_library = false;
    for (int i = 0; i < n; i++) {
        const auto at = reinterpret_cast<uintptr_t>(frames[i]);
        in_library = in_library || (at >= library_begin && at < library_end);
    }
    if (!in_library) n_counted++;
    inside = false;
}

} // namespace

size_t rknpu::test::allocations_outside(const char * library, const std::function<void()> & body) {
    search s{library};
    dl_iterate_phdr(note_library, &s);
    n_counted = 0;
    counting = true;
    body();
    counting = false;
    return n_counted;
}

#if !RKNPU_SANITIZED
extern "C" {
void * __libc_malloc(size_t);
void * __libc_calloc(size_t, size_t);
void * __libc_realloc(void *, size_t);
void * __libc_memalign(size_t, size_t);

void * malloc(size_t size) {
    return count(), __libc_malloc(size);
}
void * calloc(size_t n, size_t size) {
    return count(), __libc_calloc(n, size);
}
void * realloc(void * p, size_t size) {
    return count(), __libc_realloc(p, size);
}
void * aligned_alloc(size_t alignment, size_t size) {
    return count(), __libc_memalign(alignment, size);
}
int posix_memalign(void ** p, size_t alignment, size_t size) {
    count();
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : 12; // ENOMEM
}
}
#endif
