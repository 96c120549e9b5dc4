// Device memory: allocations, views of them, the CPU's and the device's copy of their bytes, and what runs out.
//
// Model: an allocation is a memfd (one real file descriptor), mapped for the CPU, plus a second copy for the device;
// both start as zeros. rknn_mem_sync copies the range of its memory object between them, jobs and set_io_mem see only
// the device's copy. Address space is counted in pages per domain. A view shares the bytes of the descriptor it was
// made from, holds no descriptor itself and needs no address space unless it is made in another domain than the
// allocation. Invariant: storage lives as long as any memory object, or any binding of a context, refers to it. Not
// modelled: fragmentation of address space, SRAM, cache lines written back late, views failing under two threads.
#pragma once

#include "device/rknn/abi.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace rknn_emu {

// A share of one domain's address space and of the board's memory; given back on destruction.
class space_lease {
public:
    space_lease() = default;
    ~space_lease();
    space_lease(const space_lease &) = delete;
    space_lease & operator=(const space_lease &) = delete;
    // False, with a log line, when the domain or (if of_board) the board has no room. At most once per lease.
    bool take(int domain, uint64_t bytes, bool of_board);

private:
    int domain_ = 0;
    uint64_t bytes_ = 0;
    bool of_board_ = false;
};

// Room in the count of file descriptors (RKNN_EMU_FDS). False, with a line, when there is none.
bool take_fds(uint64_t count);
void give_fds(uint64_t count);

// Descriptors that an object holds beside its memory's own, real ones. Given back by the destructor.
class fd_lease {
public:
    fd_lease() = default;
    ~fd_lease();
    fd_lease(const fd_lease &) = delete;
    fd_lease & operator=(const fd_lease &) = delete;
    // False, with a log line, when the setting or the process allows no more. At most once per lease.
    bool take(int count);

private:
    std::vector<int> fds_;
};

struct storage {
    int fd = -1;                       // ours; -1 for memory imported from a foreign descriptor
    uint64_t device_id = 0, inode = 0; // of the descriptor's file: how a view finds us
    uint8_t * cpu = nullptr;
    uint8_t * device = nullptr; // equal to cpu without shadow copies
    size_t bytes = 0;           // mapped, a multiple of the page
    int domain = 0;
    space_lease space;
    std::atomic<double> synced_us{0}; // virtual time of the last sync towards the device
    ~storage();
};

struct memory {
    // What the caller holds a pointer to. Freed when the caller destroys it, though a context may keep the memory: its
    // address may then come again, as the vendor's allocator does it.
    std::unique_ptr<rknpu::abi::tensor_mem> face = std::make_unique<rknpu::abi::tensor_mem>();
    std::shared_ptr<storage> store;
    size_t offset = 0, size = 0; // our range of the storage
    int domain = 0;
    bool view = false;
    space_lease import; // for a view in another domain
    fd_lease fds;       // of a view
    std::atomic<bool> destroyed{false};

    uint8_t * device() const { return store->device + offset; }
};

// Null, with a log line, on failure; the object is known to find_memory until destroy_memory. Throws std::bad_alloc
// only.
rknpu::abi::tensor_mem * create_memory(int domain, uint64_t size, bool cacheable);
rknpu::abi::tensor_mem * create_view(int domain, int fd, void * virt, uint64_t size, int64_t offset);
std::shared_ptr<memory> find_memory(const rknpu::abi::tensor_mem * face);
bool destroy_memory(const rknpu::abi::tensor_mem * face);
void sync_memory(const memory & mem, bool to_device, bool from_device);
uint64_t bytes_in_use(); // of all domains

} // namespace rknn_emu
