// See scratch.h.
#include "kernels/scratch.h"

#include <cstdlib>
#include <memory>
#include <new>

namespace rknpu::kernels {

int32_t * thread_scratch(size_t count) {
    struct release {
        void operator()(int32_t * p) const { std::free(p); }
    };
    static thread_local std::unique_ptr<int32_t, release> buffer;
    static thread_local size_t capacity = 0;
    if (count > capacity) {
        const size_t bytes = (count * sizeof(int32_t) + 63) / 64 * 64;
        buffer.reset(); // the old contents are of no use: do not hold both
        capacity = 0;
        buffer.reset(static_cast<int32_t *>(std::aligned_alloc(64, bytes)));
        if (!buffer) throw std::bad_alloc();
        capacity = count;
    }
    return buffer.get();
}

} // namespace rknpu::kernels
