// The cache: a folder of files of packed weights, made by themselves, with a limit.
//
// Invariant: only files that the cache named itself (32 hex digits and .rknpu or .rknpu.partial) are ever deleted; the
// least recently used go first, and none that another program is writing. Other *.rknpu of the user's are only read.
#pragma once

#include "base/status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

class store_folder {
public:
    explicit store_folder(std::string path) : path_(std::move(path)) {}
    const std::string & path() const { return path_; }
    std::vector<std::string> files() const; // whole paths, the least recently used first

    // Makes the folder, and room in it for `bytes` more, such that the cache's own files together stay below
    // limit_bytes and half of what the disk has free stays free. Files in use are kept. status: out_of_memory if that
    // cannot be, and nothing is deleted then; permission.
    status make_room(uint64_t bytes, uint64_t limit_bytes, const std::vector<std::string> & in_use) const;
    // Notes that a file was used just now.
    static void touch(const std::string & file);
    // Deletes a file of the cache's own, unless another program is writing it.
    static void drop(const std::string & file);

private:
    std::string path_;
};

bool is_store_name(const std::string & name);
bool is_cache_path(const std::string & path); // the cache named it itself

} // namespace rknpu
