// The cache: a folder of files of packed weights, made by themselves, with a limit.
//
// Invariant: only files of ours (*.rknpu, *.rknpu.partial) are ever touched; the least recently used go first, and none
// that another program is writing.
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

    // Makes the folder, and room in it for `bytes` more, such that all files together stay below limit_bytes and half
    // of what the disk has free stays free. Files in use are kept. status: out_of_memory if that cannot be; permission.
    status make_room(uint64_t bytes, uint64_t limit_bytes, const std::vector<std::string> & in_use) const;
    // Notes that a file was used just now.
    static void touch(const std::string & file);

private:
    std::string path_;
};

bool is_store_name(const std::string & name);

} // namespace rknpu
