// See file-pages.h.
#include "memory/file-pages.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace rknpu {

namespace {

constexpr size_t collected_bytes = size_t(64) << 20;

struct mapping {
    uintptr_t begin, end;
};

// All read-only shared mappings of files, in order of address.
std::vector<mapping> read_only_files() {
    std::vector<mapping> found;
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> maps(std::fopen("/proc/self/maps", "re"), std::fclose);
    char line[512];
    bool is_start = true;
    while (maps && std::fgets(line, sizeof(line), maps.get())) {
        uintptr_t begin, end;
        char may[5];
        unsigned long long inode = 0;
        const bool parsed =
            is_start && std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %*s %llu", &begin, &end, may, &inode) == 4;
        is_start = std::strchr(line, '\n') != nullptr; // the rest of a long path is no mapping
        if (parsed && inode != 0 && std::strcmp(may, "r--s") == 0) found.push_back({begin, end});
    }
    return found;
}

uintptr_t page_size() {
    static const uintptr_t size = uintptr_t(sysconf(_SC_PAGESIZE));
    return size;
}

} // namespace

kept_pages kept_pages::of(const void * data, size_t bytes) {
    kept_pages kept;
    const uintptr_t begin = reinterpret_cast<uintptr_t>(data), first = begin / page_size() * page_size();
    const size_t length = begin + bytes - first;
    for (const mapping & m : read_only_files()) {
        if (m.begin > first || m.end < begin + bytes) continue;
        // An old length of 0 asks for a second mapping of the same pages.
        void * start = mremap(reinterpret_cast<void *>(first), 0, length, MREMAP_MAYMOVE);
        if (start == MAP_FAILED) break;
        kept.start_ = start;
        kept.length_ = length;
        kept.data_ = static_cast<const uint8_t *>(start) + (begin - first);
        break;
    }
    return kept;
}

kept_pages::~kept_pages() {
    if (start_) munmap(start_, length_);
}

kept_pages::kept_pages(kept_pages && other) noexcept {
    *this = std::move(other);
}

kept_pages & kept_pages::operator=(kept_pages && other) noexcept {
    std::swap(start_, other.start_);
    std::swap(length_, other.length_);
    std::swap(data_, other.data_);
    return *this;
}

void page_releaser::add(const void * data, size_t bytes) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(data);
    waiting_.push_back({begin, begin + bytes});
    bytes_ += bytes;
    if (bytes_ >= collected_bytes) flush();
}

void page_releaser::flush() {
    if (waiting_.empty()) return;
    const std::vector<mapping> files = read_only_files();
    const stretch last = waiting_.back();
    const auto held = std::find_if(files.begin(), files.end(),
                                   [&](const mapping & m) { return m.begin <= last.begin && last.end <= m.end; });
    for (const stretch & s : waiting_) {
        if (held == files.end()) break;
        const uintptr_t begin = std::max(s.begin, held->begin), end = std::min(s.end, held->end);
        if (begin >= end) continue;
        // Pages shared with a neighbour go with it: they come back when it is read.
        const uintptr_t first = begin / page_size() * page_size();
        (void)madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
    }
    waiting_.clear();
    bytes_ = 0;
}

} // namespace rknpu
