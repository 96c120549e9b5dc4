// Allocations, views and their accounts; see memory.h.
#include "memory.h"

#include "clock.h"
#include "log.h"
#include "settings.h"
#include "stats.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rknn_emu {

namespace abi = rknpu::abi;

namespace {

constexpr uint64_t page = 4096;

struct book {
    std::mutex mutex; // guards everything below and the sums in the counters that limits are tested against
    std::map<const abi::tensor_mem *, std::shared_ptr<memory>> memories;
    uint64_t board_bytes = 0;
    uint64_t domain_bytes[RKNN_EMU_DOMAINS]{};
    uint64_t fds = 0;
};

book & accounts() {
    static book * const b = new book; // never destroyed: a hung job may still hold a binding during exit
    return *b;
}

uint64_t whole_pages(uint64_t bytes) {
    return (bytes + page - 1) / page * page;
}

// The vendor's words for a failed allocation, and ours for the reason.
void log_no_memory(uint64_t size, const char * reason) {
    refuse(abi::malloc_fail, "failed to allocate handle, ret: -1, errno: %d, errstr: %s; size %llu: %s", ENOMEM,
           std::strerror(ENOMEM), static_cast<unsigned long long>(size), reason);
}

bool map_storage(storage & s, int fd, bool cacheable) {
    const int populate = config().populate ? MAP_POPULATE : 0;
    void * cpu = ::mmap(nullptr, s.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | populate, fd, 0);
    if (cpu == MAP_FAILED) return false;
    s.cpu = static_cast<uint8_t *>(cpu);
    s.device = s.cpu;
    if (!config().shadow || !cacheable) return true;
    void * device =
        ::mmap(nullptr, s.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (device == MAP_FAILED) return false;
    s.device = static_cast<uint8_t *>(device);
    return true;
}

bool identify(storage & s, int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return false;
    s.device_id = uint64_t(info.st_dev);
    s.inode = uint64_t(info.st_ino);
    return true;
}

// A new memfd of s.bytes, mapped. False with a line; s's destructor cleans up.
bool make_storage(storage & s, bool cacheable) {
    if (!take_fds(1)) return false;
    s.fd = ::memfd_create("rknn-emu", MFD_CLOEXEC);
    if (s.fd < 0) {
        give_fds(1);
        refuse(abi::malloc_fail, "failed to convert handle to fd, ret: -1, errno: %d, errstr: %s", errno,
               std::strerror(errno));
        return false;
    }
    if (::ftruncate(s.fd, off_t(s.bytes)) == 0 && identify(s, s.fd) && map_storage(s, s.fd, cacheable)) return true;
    log_no_memory(s.bytes, "this PC has no room for it");
    return false;
}

std::shared_ptr<storage> find_storage(int fd) {
    storage probe;
    if (!identify(probe, fd)) return nullptr;
    book & b = accounts();
    std::lock_guard<std::mutex> lock(b.mutex);
    for (const auto & [face, mem] : b.memories)
        if (mem->store->device_id == probe.device_id && mem->store->inode == probe.inode) return mem->store;
    return nullptr;
}

// Memory of another allocator (a dma-heap, say): our mapping of its first `end` bytes, with a device copy of its own.
std::shared_ptr<storage> import_foreign(int domain, int fd, uint64_t end) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || (S_ISREG(info.st_mode) && uint64_t(info.st_size) < end)) {
        refuse(abi::malloc_fail, "failed to convert fd to handle, fd %d: not a buffer of %llu bytes", fd,
               static_cast<unsigned long long>(end));
        return nullptr;
    }
    auto s = std::make_shared<storage>();
    s->bytes = whole_pages(end);
    s->domain = domain;
    if (!s->space.take(domain, s->bytes, false)) return nullptr;
    if (identify(*s, fd) && map_storage(*s, fd, true)) return s;
    refuse(abi::malloc_fail, "failed to convert fd to handle, fd %d: %s", fd, std::strerror(errno));
    return nullptr;
}

abi::tensor_mem * publish(std::shared_ptr<memory> mem) {
    counters & c = stats();
    if (mem->view)
        c.views_created++, raise(c.views_live, c.views_live_max);
    else
        c.mems_created++, raise(c.mems_live, c.mems_live_max);
    c.objects_created++;
    log_info("%s of %zu bytes in domain %d, fd %d offset %d", mem->view ? "view" : "memory", mem->size, mem->domain,
             mem->face->fd, mem->face->offset);
    book & b = accounts();
    std::lock_guard<std::mutex> lock(b.mutex);
    abi::tensor_mem * face = mem->face.get();
    b.memories[face] = std::move(mem);
    return face;
}

// The CPU may be reading other parts of the memory meanwhile, which the device has not written since they were synced:
// they must not be written to, not even the same bytes.
void copy_changed_pages(uint8_t * to, const uint8_t * from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += page) {
        const size_t count = std::min<size_t>(page, bytes - at);
        if (std::memcmp(to + at, from + at, count) != 0) std::memcpy(to + at, from + at, count);
    }
}

} // namespace

bool space_lease::take(int domain, uint64_t bytes, bool of_board) {
    book & b = accounts();
    {
        std::lock_guard<std::mutex> lock(b.mutex);
        const uint64_t board_max = config().memory_bytes;
        const bool board_full = of_board && board_max != 0 && b.board_bytes + bytes > board_max;
        if (!board_full && b.domain_bytes[domain] + bytes <= config().domain_bytes) {
            b.domain_bytes[domain] += bytes;
            if (of_board) b.board_bytes += bytes;
            domain_ = domain, bytes_ = bytes, of_board_ = of_board;
        }
    }
    if (bytes_ != bytes) {
        log_no_memory(
            bytes,
            ("failed to allocate IOVA: -12, domain " + std::to_string(domain) + " or the board is full").c_str());
        return false;
    }
    counters & c = stats();
    raise(c.bytes_of_domain[domain], c.bytes_of_domain_max[domain], bytes);
    raise(c.bytes_live, c.bytes_live_max, bytes);
    return true;
}

space_lease::~space_lease() {
    if (bytes_ == 0) return;
    book & b = accounts();
    std::lock_guard<std::mutex> lock(b.mutex);
    b.domain_bytes[domain_] -= bytes_;
    if (of_board_) b.board_bytes -= bytes_;
    lower(stats().bytes_of_domain[domain_], bytes_);
    lower(stats().bytes_live, bytes_);
}

bool take_fds(uint64_t count) {
    book & b = accounts();
    {
        std::lock_guard<std::mutex> lock(b.mutex);
        if (config().fds_max != 0 && b.fds + count > config().fds_max) {
            refuse(abi::malloc_fail,
                   "failed to convert handle to fd, ret: -1, errno: %d, errstr: %s (RKNN_EMU_FDS=%llu)", EMFILE,
                   std::strerror(EMFILE), static_cast<unsigned long long>(config().fds_max));
            return false;
        }
        b.fds += count;
    }
    raise(stats().fds_held, stats().fds_held_max, count);
    return true;
}

void give_fds(uint64_t count) {
    book & b = accounts();
    std::lock_guard<std::mutex> lock(b.mutex);
    b.fds -= count;
    lower(stats().fds_held, count);
}

fd_lease::~fd_lease() {
    for (const int fd : fds_)
        ::close(fd);
    give_fds(fds_.size());
}

bool fd_lease::take(int count) {
    if (!take_fds(uint64_t(count))) return false;
    for (int i = 0; i < count; i++) {
        const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            refuse(rknpu::abi::fail, "failed to open rknpu module, errno: %d, errstr: %s", errno, std::strerror(errno));
            give_fds(uint64_t(count - i));
            return false;
        }
        fds_.push_back(fd);
    }
    return true;
}

storage::~storage() {
    if (device && device != cpu) ::munmap(device, bytes);
    if (cpu) ::munmap(cpu, bytes);
    if (fd < 0) return;
    ::close(fd);
    give_fds(1);
}

abi::tensor_mem * create_memory(int domain, uint64_t size, bool cacheable) {
    if (size == 0 || size > config().chip->allocation_bytes_max) {
        log_no_memory(size, "an allocation has 1 byte to 2 GiB - 64 KiB");
        return nullptr;
    }
    auto mem = std::make_shared<memory>();
    mem->store = std::make_shared<storage>();
    mem->store->bytes = whole_pages(size);
    mem->store->domain = domain;
    if (!mem->store->space.take(domain, mem->store->bytes, true) || !make_storage(*mem->store, cacheable))
        return nullptr;
    mem->size = size;
    mem->domain = domain;
    mem->face->virt_addr = mem->store->cpu;
    mem->face->fd = mem->store->fd;
    mem->face->size = uint32_t(size);
    mem->face->flags = 1; // allocated inside
    return publish(std::move(mem));
}

abi::tensor_mem * create_view(int domain, int fd, void * virt, uint64_t size, int64_t offset) {
    if (fd < 0 || !virt || size == 0 || offset < 0) {
        refuse(abi::param_invalid, "rknn_create_mem_from_fd: fd %d, virt %p, size %llu, offset %lld", fd, virt,
               static_cast<unsigned long long>(size), static_cast<long long>(offset));
        return nullptr;
    }
    auto mem = std::make_shared<memory>();
    const uint64_t end = uint64_t(offset) + size;
    mem->store = find_storage(fd);
    if (!mem->store) mem->store = import_foreign(domain, fd, end);
    if (!mem->store) return nullptr;
    if (end > mem->store->bytes) {
        refuse(abi::param_invalid, "rknn_create_mem_from_fd: offset %lld + size %llu is past the %zu bytes of fd %d",
               static_cast<long long>(offset), static_cast<unsigned long long>(size), mem->store->bytes, fd);
        return nullptr;
    }
    if (mem->store->domain != domain && !mem->import.take(domain, mem->store->bytes, false)) return nullptr;
    if (!mem->fds.take(config().view_fds)) return nullptr;
    mem->offset = size_t(offset);
    mem->size = size;
    mem->domain = domain;
    mem->view = true;
    mem->face->virt_addr = virt;
    mem->face->fd = fd;
    mem->face->offset = int32_t(offset);
    mem->face->size = uint32_t(size);
    mem->face->flags = 2; // from a descriptor
    return publish(std::move(mem));
}

std::shared_ptr<memory> find_memory(const abi::tensor_mem * face) {
    book & b = accounts();
    std::lock_guard<std::mutex> lock(b.mutex);
    const auto found = b.memories.find(face);
    return found == b.memories.end() ? nullptr : found->second;
}

bool destroy_memory(const abi::tensor_mem * face) {
    std::shared_ptr<memory> mem; // released after the lock: giving space back takes it too
    book & b = accounts();
    {
        std::lock_guard<std::mutex> lock(b.mutex);
        const auto found = b.memories.find(face);
        if (found == b.memories.end()) return false;
        mem = std::move(found->second);
        b.memories.erase(found);
    }
    mem->destroyed = true;
    mem->face.reset();
    lower(mem->view ? stats().views_live : stats().mems_live);
    return true;
}

void sync_memory(const memory & mem, bool to_device, bool from_device) {
    const storage & s = *mem.store;
    // Through a view of an allocation of ours the caches were seen to stay stale on a board (unimatrix099/rk-llama.cpp
    // decode-research 1o). Memory from a foreign descriptor has no other handle.
    const bool copies = s.cpu != s.device && (!mem.view || s.fd < 0 || config().view_sync);
    if (to_device) {
        stats().syncs_to_device++;
        stats().bytes_to_device += mem.size;
        if (copies) std::memcpy(s.device + mem.offset, s.cpu + mem.offset, mem.size);
        mem.store->synced_us = clock_to_device(mem.size);
    }
    if (from_device) {
        stats().syncs_from_device++;
        stats().bytes_from_device += mem.size;
        if (copies) copy_changed_pages(s.cpu + mem.offset, s.device + mem.offset, mem.size);
        clock_from_device(mem.size);
    }
}

uint64_t bytes_in_use() {
    return stats().bytes_live;
}

} // namespace rknn_emu
