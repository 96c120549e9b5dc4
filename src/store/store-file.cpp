// See store-file.h.
#include "store/store-file.h"

#include "base/check.h"
#include "base/log.h"
#include "base/parallel.h"
#include "layout/layout.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>

namespace rknpu {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is written as it lies in memory");

constexpr char magic[9] = "rknpupak";
constexpr uint32_t record_magic = 0x31636572, end_magic = 0x31646e65; // "rec1", "end1"
constexpr size_t piece_bytes = size_t(1) << 20;
constexpr uint32_t facts_max = 1 << 16;
constexpr uint64_t payload_max = uint64_t(1) << 40;
constexpr size_t payload_align = 64; // in the file

struct file_head {
    char magic[8];
    uint32_t version, zero;
    uint64_t checksum; // of what is above
};
static_assert(sizeof(file_head) == 24);

struct record_head {
    uint32_t magic, head_bytes; // all that lies before the payload
    hash128 key;
    uint64_t payload_bytes;
    uint32_t facts_bytes, zero;
    // then: facts, zeros up to a multiple of 8, u64 checksum of each piece, zeros so that the payload is aligned, u64
    // checksum of all of this
};
static_assert(sizeof(record_head) == 40);

struct end_mark {
    uint32_t magic, zero;
    uint64_t n_records;
    hash128 chain;
    uint64_t checksum; // of what is above
};
static_assert(sizeof(end_mark) == 40);

uint64_t checksum_of(const void * data, size_t bytes) {
    return hash_of(data, bytes).low;
}

// An empty payload has no checksums, and memcpy takes no null pointer, not even for 0 bytes.
void copy_bytes(void * to, const void * from, size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
}

size_t pieces_of(uint64_t payload_bytes) {
    return size_t((payload_bytes + piece_bytes - 1) / piece_bytes);
}

size_t checksums_offset(uint32_t facts_bytes) {
    return round_up(sizeof(record_head) + facts_bytes, 8);
}

// Length of the head of a record that begins at `offset`.
uint64_t head_length(uint64_t offset, uint32_t facts_bytes, uint64_t payload_bytes) {
    const uint64_t least = checksums_offset(facts_bytes) + 8 * (pieces_of(payload_bytes) + 1);
    return round_up(offset + least, payload_align) - offset;
}

bool read_at(int fd, void * out, size_t bytes, uint64_t offset) {
    char * to = static_cast<char *>(out);
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, bytes, off_t(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got;
        offset += uint64_t(got);
        bytes -= size_t(got);
    }
    return true;
}

// The parts of the ranges that hold bytes [begin, begin + bytes) of all of them in a row.
std::vector<byte_range> part_of(const std::vector<byte_range> & ranges, uint64_t begin, uint64_t bytes) {
    std::vector<byte_range> part;
    for (const byte_range & r : ranges) {
        if (bytes == 0) break;
        if (begin >= r.bytes) {
            begin -= r.bytes;
            continue;
        }
        const size_t take = size_t(std::min<uint64_t>(r.bytes - begin, bytes));
        part.push_back({r.data + begin, take});
        bytes -= take;
        begin = 0;
    }
    return part;
}

uint64_t checksum_of(const std::vector<byte_range> & ranges) {
    if (ranges.size() == 1) return checksum_of(ranges[0].data, ranges[0].bytes);
    wide_hasher h;
    for (const byte_range & r : ranges)
        h.add(r.data, r.bytes);
    return h.value().low;
}

// Moves all bytes of the ranges by preadv or pwritev, which may move fewer at once. False: errno says why, 0 at the end
// of the file.
template <class F> bool transfer(F && move, int fd, const std::vector<byte_range> & ranges, uint64_t offset) {
    constexpr size_t at_once = 256; // below IOV_MAX
    std::vector<iovec> left;
    for (const byte_range & r : ranges) {
        if (r.bytes) left.push_back({r.data, r.bytes});
    }
    for (size_t i = 0; i < left.size();) {
        errno = 0;
        ssize_t moved = move(fd, &left[i], int(std::min(at_once, left.size() - i)), off_t(offset));
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return false;
        offset += uint64_t(moved);
        for (; i < left.size() && size_t(moved) >= left[i].iov_len; i++)
            moved -= ssize_t(left[i].iov_len);
        if (moved > 0) {
            left[i].iov_base = static_cast<uint8_t *>(left[i].iov_base) + moved;
            left[i].iov_len -= size_t(moved);
        }
    }
    return true;
}

// False: errno says why.
bool write_at(int fd, const std::vector<byte_range> & ranges, uint64_t offset) {
    rlimit limit{}; // writing beyond it would end the host program by SIGXFSZ
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        offset + total_bytes(ranges) > limit.rlim_cur) {
        errno = EFBIG;
        return false;
    }
    if (transfer(pwritev, fd, ranges, offset)) return true;
    if (errno == 0) errno = EIO;
    return false;
}

byte_range range_of(const void * data, size_t bytes) {
    return {const_cast<uint8_t *>(static_cast<const uint8_t *>(data)), bytes}; // only read from
}

file_head first_bytes() {
    file_head head{};
    std::memcpy(head.magic, magic, sizeof(head.magic));
    head.version = store_version;
    head.checksum = checksum_of(&head, offsetof(file_head, checksum));
    return head;
}

hash128 chain_of(const std::vector<uint64_t> & head_checksums) {
    return hash_of(head_checksums.data(), head_checksums.size() * sizeof(uint64_t));
}

} // namespace

uint64_t total_bytes(const std::vector<byte_range> & ranges) {
    uint64_t sum = 0;
    for (const byte_range & r : ranges)
        sum += r.bytes;
    return sum;
}

std::string store_partial_path(const std::string & path) {
    return path + ".partial";
}

file_descriptor::~file_descriptor() {
    if (fd_ >= 0) close(fd_);
}

file_descriptor & file_descriptor::operator=(file_descriptor && other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

result<store_file> store_file::open(const std::string & path) {
    store_file f;
    f.path_ = path;
    f.file_ = file_descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)); // a pipe must not block us
    struct stat facts;
    if (f.file_.get() < 0 || fstat(f.file_.get(), &facts) != 0) {
        return status(errno == EACCES ? errc::permission : errc::not_found,
                      format_text("cannot open the packed weights %s: %s; rknpu pack makes such a file", path.c_str(),
                                  std::strerror(errno)));
    }
    if (auto s = f.scan(S_ISREG(facts.st_mode) ? uint64_t(facts.st_size) : 0); !s.ok()) return s;
    return f;
}

status store_file::scan(uint64_t size) {
    file_head head{};
    if (size < sizeof(head) || !read_at(file_.get(), &head, sizeof(head), 0) ||
        std::memcmp(head.magic, magic, sizeof(head.magic)) != 0) {
        return {errc::invalid_argument, path_ + " holds no packed weights; make them with rknpu pack"};
    }
    if (head.checksum != checksum_of(&head, offsetof(file_head, checksum))) {
        return {errc::invalid_argument, path_ + " is damaged at its beginning; pack the model again with rknpu pack"};
    }
    if (head.version != store_version) {
        return {errc::incompatible,
                format_text("%s has version %u of the format, this program reads version %u; pack the model again with "
                            "rknpu pack",
                            path_.c_str(), head.version, store_version)};
    }
    end_ = sizeof(head);
    while (scan_record(size)) {
    }
    return {};
}

// False at the end of what can be read.
bool store_file::scan_record(uint64_t size) {
    record_head head{};
    if (size - end_ < sizeof(head) || !read_at(file_.get(), &head, sizeof(head), end_)) {
        problem_ = path_ + " ends early";
        return false;
    }
    if (head.magic == end_magic) return scan_end(size);
    problem_ = format_text("%s is damaged at byte %llu", path_.c_str(), (unsigned long long)end_);
    if (head.magic != record_magic || head.facts_bytes > facts_max || head.payload_bytes > payload_max ||
        head.head_bytes != head_length(end_, head.facts_bytes, head.payload_bytes))
        return false;
    if (head.head_bytes > size - end_ || head.payload_bytes > size - end_ - head.head_bytes) {
        problem_ = path_ + " ends early";
        return false;
    }
    std::vector<uint8_t> bytes(head.head_bytes);
    if (!read_at(file_.get(), bytes.data(), bytes.size(), end_)) return false;
    uint64_t checksum = 0;
    const size_t checked = bytes.size() - sizeof(checksum);
    std::memcpy(&checksum, &bytes[checked], sizeof(checksum));
    if (checksum != checksum_of(bytes.data(), checked)) return false;
    store_record r{head.key, {}, head.payload_bytes, end_ + head.head_bytes, {}};
    r.facts.assign(reinterpret_cast<const char *>(&bytes[sizeof(head)]), head.facts_bytes);
    r.checksums.resize(pieces_of(head.payload_bytes));
    copy_bytes(r.checksums.data(), &bytes[checksums_offset(head.facts_bytes)], 8 * r.checksums.size());
    end_ = r.offset + r.bytes;
    records_.push_back(std::move(r));
    head_checksums_.push_back(checksum);
    problem_.clear();
    return true;
}

bool store_file::scan_end(uint64_t size) {
    end_mark mark{};
    if (!read_at(file_.get(), &mark, sizeof(mark), end_) ||
        mark.checksum != checksum_of(&mark, offsetof(end_mark, checksum)) || mark.n_records != records_.size() ||
        !(mark.chain == chain()) || end_ + sizeof(mark) != size) {
        problem_ = path_ + " is damaged at its end";
        return false;
    }
    finished_ = true;
    problem_.clear();
    return false;
}

hash128 store_file::chain() const {
    return chain_of(head_checksums_);
}

status store_file::read(const store_record & record, const std::vector<byte_range> & into) const {
    RKNPU_CHECK(total_bytes(into) == record.bytes, "a record is read as a whole");
    std::atomic<bool> damaged{false};
    parallel_for(record.checksums.size(), 1, [&](size_t i, size_t) {
        // In steps that the CPU's cache holds, so that hashing need not wait for memory.
        constexpr uint64_t step = 256 << 10;
        const uint64_t begin = uint64_t(i) * piece_bytes, end = std::min<uint64_t>(begin + piece_bytes, record.bytes);
        wide_hasher h;
        for (uint64_t at = begin; at < end && !damaged; at += step) {
            const auto part = part_of(into, at, std::min(step, end - at));
            if (!transfer(preadv, file_.get(), part, record.offset + at)) damaged = true;
            for (const byte_range & r : part)
                h.add(r.data, r.bytes);
        }
        if (h.value().low != record.checksums[i]) damaged = true;
    });
    if (!damaged) return {};
    return {errc::invalid_argument,
            format_text("%s is damaged between bytes %llu and %llu", path_.c_str(), (unsigned long long)record.offset,
                        (unsigned long long)(record.offset + record.bytes))};
}

result<store_writer> store_writer::open(const std::string & path, begin how) {
    store_writer w;
    w.path_ = path;
    const std::string partial = store_partial_path(path);
    const int create = how == begin::anew_or_on ? O_CREAT : 0;
    w.file_ = file_descriptor(::open(partial.c_str(), O_RDWR | create | O_CLOEXEC, 0644));
    if (w.file_.get() < 0 && errno == ENOENT && !create)
        return status(errc::not_found, "another program has finished " + path);
    if (w.file_.get() < 0) return w.failure(errno);
    if (const status s = w.lock(partial); !s.ok()) return s;
    struct stat facts;
    if (fstat(w.file_.get(), &facts) != 0) return w.failure(errno);
    // Through the locked descriptor, never by name, which may be another file's by now.
    store_file earlier;
    earlier.path_ = partial;
    earlier.file_ = std::move(w.file_);
    const bool goes_on = earlier.scan(S_ISREG(facts.st_mode) ? uint64_t(facts.st_size) : 0).ok();
    w.file_ = std::move(earlier.file_);
    if (goes_on) {
        for (const store_record & r : earlier.records())
            w.keys_.push_back(r.key);
        w.head_checksums_ = earlier.head_checksums_;
        w.end_ = earlier.end();
    } else {
        const file_head head = first_bytes();
        if (!write_at(w.file_.get(), {range_of(&head, sizeof(head))}, 0)) return w.failure(errno);
        w.end_ = sizeof(head);
    }
    if (ftruncate(w.file_.get(), off_t(w.end_)) != 0) return w.failure(errno);
    return w;
}

// Locks the file, and makes sure that it still has its name: its last writer may have finished it in between.
status store_writer::lock(const std::string & partial) const {
    const status busy = {errc::out_of_memory, "another program is writing " + partial + "; wait for it"};
    const auto take = [&] { return flock(file_.get(), LOCK_EX | LOCK_NB) == 0; };
    if (!take()) {
        if (errno != EWOULDBLOCK) return failure(errno);
        // Who only asks whether it is being written holds it for a moment.
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (!take()) return errno == EWOULDBLOCK ? busy : failure(errno);
    }
    struct stat ours, named;
    if (fstat(file_.get(), &ours) != 0) return failure(errno);
    const bool same = stat(partial.c_str(), &named) == 0 && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
    return same ? status() : busy;
}

status store_writer::failure(int error) const {
    const bool full = error == ENOSPC || error == EDQUOT;
    return {full ? errc::out_of_memory : errc::permission,
            format_text("cannot write the packed weights %s: %s; %s", path_.c_str(), std::strerror(error),
                        full             ? "free some space, or choose another place"
                        : error == EFBIG ? "choose another place, or raise the limit (ulimit -f)"
                                         : "choose another place")};
}

status store_writer::add(const hash128 & key, const std::string & facts, const std::vector<byte_range> & from) {
    record_head head{};
    head.magic = record_magic;
    head.key = key;
    head.payload_bytes = total_bytes(from);
    head.facts_bytes = uint32_t(facts.size());
    RKNPU_CHECK(facts.size() <= facts_max && head.payload_bytes <= payload_max, "a record too large for the store");
    head.head_bytes = uint32_t(head_length(end_, head.facts_bytes, head.payload_bytes));
    std::vector<uint64_t> checksums(pieces_of(head.payload_bytes));
    parallel_for(checksums.size(), 1, [&](size_t i, size_t) {
        const uint64_t begin = uint64_t(i) * piece_bytes;
        checksums[i] = checksum_of(part_of(from, begin, std::min<uint64_t>(piece_bytes, head.payload_bytes - begin)));
    });
    std::vector<uint8_t> bytes(head.head_bytes, 0);
    std::memcpy(bytes.data(), &head, sizeof(head));
    std::memcpy(&bytes[sizeof(head)], facts.data(), facts.size());
    copy_bytes(&bytes[checksums_offset(head.facts_bytes)], checksums.data(), 8 * checksums.size());
    const uint64_t checksum = checksum_of(bytes.data(), bytes.size() - sizeof(checksum));
    std::memcpy(&bytes[bytes.size() - sizeof(checksum)], &checksum, sizeof(checksum));
    std::vector<byte_range> all = {range_of(bytes.data(), bytes.size())};
    all.insert(all.end(), from.begin(), from.end());
    if (!write_at(file_.get(), all, end_)) {
        const int error = errno;
        (void)!ftruncate(file_.get(), off_t(end_));
        return failure(error);
    }
    end_ += head.head_bytes + head.payload_bytes;
    keys_.push_back(key);
    head_checksums_.push_back(checksum);
    return {};
}

status store_writer::finish(name taken) {
    end_mark mark{};
    mark.magic = end_magic;
    mark.n_records = head_checksums_.size();
    mark.chain = chain_of(head_checksums_);
    mark.checksum = checksum_of(&mark, offsetof(end_mark, checksum));
    if (!write_at(file_.get(), {range_of(&mark, sizeof(mark))}, end_)) return failure(errno);
    const std::string partial = store_partial_path(path_);
    if (taken == name::keep) {
        if (renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) return {};
        const int error = errno;
        if (error == EEXIST || access(path_.c_str(), F_OK) == 0)
            return {errc::permission, "another program has just written " + path_};
        if (error != EINVAL && error != ENOSYS)
            return failure(error); // some file systems cannot: then looking has to do
    }
    if (std::rename(partial.c_str(), path_.c_str()) != 0) return failure(errno);
    return {};
}

void store_writer::discard() {
    std::remove(store_partial_path(path_).c_str());
}

} // namespace rknpu
