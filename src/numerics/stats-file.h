// The statistics of a model in a file (.stats): the second moments of each of its activations, by activation group.
//
// Invariant: a file is complete or absent: it is written beside its name and renamed when whole. What is read back is
// what was written, or a line that says otherwise: every entry has a checksum.
//
// Little-endian, no padding:
//   header  "rknpstat", u32 version, u32 number of entries, u32 length of the description, description
//   entry   u32 length of the name, u64 K, u64 rows, u64 checksum, name, K (K + 1) / 2 x f32 (upper triangle, by rows)
// The checksum is xxHash64 of K, rows, name and values.
#pragma once

#include "base/hash.h"
#include "base/status.h"
#include "numerics/moments.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace rknpu {

constexpr char stats_magic[9] = "rknpstat"; // without its end in the file

struct stats_entry {
    std::string name; // activation_group() of plan/plan.h
    uint64_t K, rows;
    uint64_t checksum, offset; // of the values in the file
};

// An opened file: the index in memory, moments read when asked for. Any number of threads may read at once.
class stats_file {
public:
    // status: not_found, permission; invalid_argument for a file of another kind; incompatible for another version;
    // invalid_argument for one that ends early.
    static result<stats_file> open(const std::string & path);

    const std::string & description() const { return description_; } // as given to the writer
    const std::vector<stats_entry> & entries() const { return entries_; }
    const stats_entry * find(const std::string & name) const; // nullptr: none
    // status: not_found; incompatible if the activation has another K; invalid_argument for damaged values.
    result<moments> read(const std::string & name, size_t K) const;

private:
    struct close_file {
        void operator()(std::FILE * file) const { std::fclose(file); }
    };
    friend class stats_writer;

    std::string path_, description_;
    std::unique_ptr<std::FILE, close_file> file_;
    std::vector<stats_entry> entries_;
};

// Writes a file entry by entry, so that no more than one is in memory. Without finish() nothing is left of it.
class stats_writer {
public:
    // description: one line for people: the model, the text.
    static result<stats_writer> create(const std::string & path, const std::string & description);
    stats_writer(stats_writer &&) = default;
    ~stats_writer();

    // A name can be added once.
    status add(const std::string & name, const moments & m);
    // Adds all entries of an earlier file, which may be the one that is being replaced: a further pass.
    status keep(const stats_file & earlier);
    // Makes the file appear under its name.
    status finish();

private:
    stats_writer() = default;
    status write(const void * data, size_t bytes);
    status write_header();
    status failure() const;

    std::string path_, temporary_, description_;
    std::unique_ptr<std::FILE, stats_file::close_file> file_;
    std::vector<std::string> names_;
};

} // namespace rknpu
