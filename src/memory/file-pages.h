// Where llama.cpp maps a model's file, a weight's source lies in that mapping: its pages need not be copied to be kept,
// and need not stay in memory once they were read.
//
// Invariant: only shared read-only mappings of files are touched. Their pages are those of the page cache, never a copy
// of this process's own, so nothing is lost with them: whoever reads them again finds what the file holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace rknpu {

// A second mapping of the same pages of a file, which outlives the first.
class kept_pages {
public:
    // Empty (data() is nullptr) where data does not lie in such a mapping.
    static kept_pages of(const void * data, size_t bytes);
    kept_pages() = default;
    ~kept_pages();
    kept_pages(kept_pages && other) noexcept;
    kept_pages & operator=(kept_pages && other) noexcept;
    const uint8_t * data() const { return data_; }

private:
    void * start_ = nullptr;
    size_t length_ = 0;
    const uint8_t * data_ = nullptr;
};

// Takes pages that were read out of this process's memory; they stay in the page cache. Collects before it does, for
// looking at the mappings takes a while. Whose memory an address is can change as soon as the mapping is left: so pages
// go only while their reader still holds the mapping, and what was not given back by then is forgotten.
class page_releaser {
public:
    // May flush; data is being read by the caller, as for flush().
    void add(const void * data, size_t bytes);
    // To be called while what was added last cannot be unmapped: only pages of the mapping in which it lies go.
    void flush();

private:
    struct stretch {
        uintptr_t begin, end;
    };
    std::vector<stretch> waiting_;
    size_t bytes_ = 0;
};

} // namespace rknpu
