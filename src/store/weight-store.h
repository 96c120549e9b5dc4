// The packed weights that one model buffer finds on disk, and those that it leaves there.
//
// Invariant: it never fails a load. What cannot be read, is not what was written, or was made from other contents is
// converted, and a line says so; what cannot be written is not kept, and a line says so.
#pragma once

#include "store/store-file.h"
#include "store/store-folder.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rknpu {

struct store_wishes {
    std::string place;        // "off", a file, or a folder: the cache
    std::string pack;         // file to be written with everything; empty: none
    uint64_t limit_bytes = 0; // of the cache
    bool makes_parents =
        true; // of a folder: those above it as well. Not of one that a user named and may have mistyped
};

class weight_store {
public:
    // expected_bytes: about what all weights will take.
    weight_store(store_wishes wishes, uint64_t expected_bytes);
    ~weight_store();

    bool active() const { return reads_ || writes_; } // otherwise nobody need compute keys

    // The newest record of that key; nullptr: none. It stays valid until the next call. n_weights: in that record, for
    // what is said in the end, also of the calls below, which follow for the same key.
    const store_record * find(const hash128 & key, size_t n_weights = 1);
    // Reads what find() gave; false if it is damaged, which was said.
    bool read(const store_record & record, const std::vector<byte_range> & into);
    // A record that find() gave does not fit its weights, whatever its key says.
    void refuse(const std::string & why);
    // Leaves the weights on disk for the next time, where that is wished and they are not there.
    void keep(const hash128 & key, const std::string & facts, const std::vector<byte_range> & from);
    // All weights are there: what was written gets its name.
    void finish();

private:
    void list();
    void list(const std::string & path);
    const store_record * look_up(const hash128 & key);
    bool open_writer(const hash128 & first);
    std::string cure(const std::string & path) const;
    std::string free_name(hash128 name) const;
    status salvage();
    void stop_writing(const status & why);
    void note_progress() const;
    status check_place() const;

    store_wishes wishes_;
    uint64_t expected_bytes_;
    bool is_folder_ = false, reads_ = false, writes_ = false;
    std::map<hash128, std::string> places_; // key -> file
    std::optional<store_file> current_;     // the file that was read last: one descriptor, whatever the number of files
    std::set<std::string> used_;
    std::set<std::string> damaged_; // or not there, where it is a file: what was said once
    std::set<std::string> taken_;   // names that were there at the beginning, and are not ours to write
    std::optional<store_writer> writer_;
    std::map<hash128, std::string> on_disk_; // what was read well, and from where
    size_t n_asked_ = 1;                     // weights of the record that find() looked for last
    size_t n_found_ = 0, n_missing_ = 0, n_damaged_ = 0, n_kept_ = 0;
    uint64_t bytes_done_ = 0;
};

} // namespace rknpu
