// A file of packed weights (.rknpu): records found by a hash of their contents' origin (docs/store-format.md).
//
// Invariant: nothing that is read is believed before its checksum was compared, and no byte of the file is without one.
// Records are only ever appended: what is whole when writing stops stays readable, and writing goes on behind it.
#pragma once

#include "base/hash.h"
#include "base/status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

constexpr uint32_t store_version = 1;

// A stretch of memory that a record is read into or written from.
struct byte_range {
    uint8_t * data;
    size_t bytes;
};
uint64_t total_bytes(const std::vector<byte_range> & ranges);

struct store_record {
    hash128 key;
    std::string facts; // what the reader must know before it can say where the payload goes; not interpreted here
    uint64_t bytes;    // of the payload
    uint64_t offset;   // of the payload in the file
    std::vector<uint64_t> checksums; // of each piece of the payload
};

class file_descriptor {
public:
    explicit file_descriptor(int fd = -1) : fd_(fd) {}
    ~file_descriptor();
    file_descriptor(file_descriptor && other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    file_descriptor & operator=(file_descriptor && other) noexcept;
    int get() const { return fd_; }

private:
    int fd_;
};

// An opened file: the heads of its records in memory, payloads read when asked for.
class store_file {
public:
    // status: not_found, permission; invalid_argument for a file of another kind; incompatible for another version.
    static result<store_file> open(const std::string & path);

    const std::string & path() const { return path_; }
    // Of the part before the first damage. A record whose payload is not all there is not listed.
    const std::vector<store_record> & records() const { return records_; }
    bool finished() const { return finished_; } // it was written to its end
    // In words: where the file ends early, or is damaged between records; empty: neither.
    const std::string & problem() const { return problem_; }
    uint64_t end() const { return end_; } // of the last whole record
    hash128 chain() const;                // of the heads of all records

    // Reads a payload, which fills the ranges exactly, on all CPU threads. status: invalid_argument if it is not what
    // was written: the ranges then hold anything.
    status read(const store_record & record, const std::vector<byte_range> & into) const;

private:
    friend class store_writer; // goes on with the chain of an earlier attempt
    status scan(uint64_t size);
    bool scan_record(uint64_t size);
    bool scan_end(uint64_t size);

    std::string path_, problem_;
    file_descriptor file_;
    std::vector<store_record> records_;
    std::vector<uint64_t> head_checksums_;
    uint64_t end_ = 0;
    bool finished_ = false;
};

// Writes <path>.partial, which gets its name when it is finished. One program writes it at a time.
class store_writer {
public:
    enum class begin { anew_or_on, on_only }; // on_only: not_found where no earlier attempt is there
    enum class name { replace, keep };        // keep: a file that has the name already stays, which is a failure

    // Goes on behind the whole records of an earlier attempt, if there is one. status: permission; out_of_memory where
    // another program is writing it.
    static result<store_writer> open(const std::string & path, begin how = begin::anew_or_on);

    const std::string & path() const { return path_; }
    const std::vector<hash128> & keys() const { return keys_; } // of all records, the earlier ones included
    uint64_t bytes() const { return end_; }

    // status: out_of_memory (the disk is full), permission. The file then ends with the record before.
    status add(const hash128 & key, const std::string & facts, const std::vector<byte_range> & from);
    status finish(name taken = name::replace);
    // Deletes what was written.
    void discard();

private:
    status lock(const std::string & partial) const;
    status failure(int error) const;

    std::string path_;
    file_descriptor file_;
    std::vector<hash128> keys_;
    std::vector<uint64_t> head_checksums_;
    uint64_t end_ = 0;
};

std::string store_partial_path(const std::string & path);

} // namespace rknpu
