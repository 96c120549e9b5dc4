// Pages of mapped files: kept without a copy, given back, and only where nobody can write through the mapping.
#include "memory/file-pages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace rknpu {
namespace {

constexpr size_t size = size_t(1) << 20;

class file_pages : public testing::Test {
protected:
    void SetUp() override {
        std::ofstream(path) << std::string(size, 'x');
        fd = open(path.c_str(), O_RDWR);
        ASSERT_GE(fd, 0);
    }
    void TearDown() override {
        close(fd);
        unlink(path.c_str());
    }
    uint8_t * map(int protection, int flags) {
        void * p = mmap(nullptr, size, protection, flags | MAP_POPULATE, fd, 0);
        EXPECT_NE(p, MAP_FAILED);
        return static_cast<uint8_t *>(p);
    }
    // Pages of the range that are in this process's page tables.
    static size_t pages_present(const uint8_t * p) {
        const int pagemap = open("/proc/self/pagemap", O_RDONLY);
        std::vector<uint64_t> entries(size / 4096, 0);
        (void)!pread(pagemap, entries.data(), entries.size() * 8, off_t(reinterpret_cast<uintptr_t>(p) / 4096 * 8));
        close(pagemap);
        size_t n = 0;
        for (const uint64_t e : entries)
            n += e >> 63;
        return n;
    }
    const std::string path = testing::TempDir() + "rknpu-pages-" + std::to_string(getpid());
    int fd = -1;
};

TEST_F(file_pages, are_kept_beyond_their_mapping) {
    uint8_t * p = map(PROT_READ, MAP_SHARED);
    void * second = mremap(p, 0, size, MREMAP_MAYMOVE);
    if (second == MAP_FAILED) GTEST_SKIP() << "no second mapping to be had here (qemu-user refuses it)";
    munmap(second, size);
    kept_pages kept = kept_pages::of(p + 5000, 100000);
    ASSERT_NE(kept.data(), nullptr);
    munmap(p, size);
    const kept_pages moved = std::move(kept);
    EXPECT_EQ(std::string(moved.data(), moved.data() + 100000), std::string(100000, 'x'));
}

TEST_F(file_pages, of_other_memory_are_not_kept) {
    std::vector<uint8_t> heap(size);
    EXPECT_EQ(kept_pages::of(heap.data(), heap.size()).data(), nullptr);
    for (const auto & [protection, flags] :
         {std::pair(PROT_READ | PROT_WRITE, MAP_SHARED), std::pair(PROT_READ, MAP_PRIVATE)}) {
        uint8_t * p = map(protection, flags);
        EXPECT_EQ(kept_pages::of(p, size).data(), nullptr);
        munmap(p, size);
    }
    uint8_t * p = map(PROT_READ, MAP_SHARED);
    EXPECT_EQ(kept_pages::of(p + 4096, size).data(), nullptr) << "more than is mapped";
    munmap(p, size);
}

TEST_F(file_pages, are_given_back_and_come_again) {
    uint8_t * p = map(PROT_READ, MAP_SHARED);
    if (pages_present(p) == 0) GTEST_SKIP() << "this kernel does not say which pages are present";
    page_releaser releaser;
    releaser.add(p, size);
    EXPECT_EQ(pages_present(p), size / 4096) << "collected first";
    releaser.flush();
    EXPECT_EQ(pages_present(p), 0u);
    EXPECT_EQ(std::string(p, p + size), std::string(size, 'x'));
    munmap(p, size);
}

// Whoever has the addresses now must not lose what he wrote.
TEST_F(file_pages, whose_addresses_have_another_owner_are_forgotten) {
    uint8_t * p = map(PROT_READ, MAP_SHARED);
    page_releaser releaser;
    releaser.add(p, size);
    munmap(p, size);
    void * other = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    ASSERT_EQ(other, static_cast<void *>(p));
    std::memset(p, 'y', size);
    releaser.flush();
    EXPECT_EQ(std::string(p, p + size), std::string(size, 'y'));
    munmap(p, size);
}

TEST_F(file_pages, stay_when_their_reader_has_left_them) {
    uint8_t * p = map(PROT_READ, MAP_SHARED);
    if (pages_present(p) == 0) GTEST_SKIP() << "this kernel does not say which pages are present";
    { page_releaser().add(p, size); }
    EXPECT_EQ(pages_present(p), size / 4096) << "nobody holds the mapping when the releaser goes";
    std::vector<uint8_t> heap(size);
    page_releaser releaser;
    releaser.add(p, size);
    releaser.add(heap.data(), size);
    releaser.flush();
    EXPECT_EQ(pages_present(p), size / 4096) << "what was added last lies elsewhere";
    munmap(p, size);
}

TEST_F(file_pages, that_were_written_keep_what_was_written) {
    uint8_t * p = map(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    std::memset(p, 'y', size);
    std::vector<uint8_t> heap(size, 'z');
    page_releaser releaser;
    releaser.add(p, size);
    releaser.add(heap.data(), size);
    releaser.flush();
    EXPECT_EQ(std::string(p, p + size), std::string(size, 'y'));
    EXPECT_EQ(std::string(heap.begin(), heap.end()), std::string(size, 'z'));
    munmap(p, size);
}

} // namespace
} // namespace rknpu
