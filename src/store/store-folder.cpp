// See store-folder.h.
#include "store/store-folder.h"

#include "base/log.h"
#include "base/units.h"
#include "store/store-file.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>

namespace rknpu {

namespace {

namespace fs = std::filesystem;

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

uint64_t size_of(const std::string & path) {
    std::error_code failed;
    const auto bytes = fs::file_size(path, failed);
    return failed ? 0 : uint64_t(bytes);
}

// Whoever writes a file holds its lock (store_writer).
bool is_being_written(const std::string & path) {
    const file_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    return file.get() >= 0 && flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

} // namespace

bool is_store_name(const std::string & name) {
    return ends_with(name, ".rknpu") || ends_with(name, store_partial_path(".rknpu"));
}

bool is_cache_path(const std::string & path) {
    const std::string name = fs::path(path).filename().string(), stem = name.substr(0, name.find('.'));
    return stem.size() == 32 && stem.find_first_not_of("0123456789abcdef") == std::string::npos &&
           (name == stem + ".rknpu" || name == store_partial_path(stem + ".rknpu"));
}

std::vector<std::string> store_folder::files() const {
    std::vector<std::pair<fs::file_time_type, std::string>> found;
    std::error_code failed;
    for (fs::directory_iterator i(path_, failed), end; !failed && i != end; i.increment(failed)) {
        std::error_code gone;
        if (!is_store_name(i->path().filename().string()) || !i->is_regular_file(gone)) continue;
        const auto used = i->last_write_time(gone);
        if (!gone) found.emplace_back(used, i->path().string());
    }
    std::sort(found.begin(), found.end());
    std::vector<std::string> paths;
    for (auto & [used, path] : found)
        paths.push_back(std::move(path));
    return paths;
}

status store_folder::make_room(uint64_t bytes, uint64_t limit_bytes, const std::vector<std::string> & in_use) const {
    std::error_code failed;
    fs::create_directories(path_, failed);
    if (failed)
        return {errc::permission,
                format_text("cannot make the folder %s: %s", path_.c_str(), failed.message().c_str())};
    if (bytes > limit_bytes)
        return {errc::out_of_memory, format_text("%.0f MiB are beyond the limit of %.0f MiB; raise "
                                                 "GGML_RKNPU_STORE_MIB",
                                                 in_mib(bytes), in_mib(limit_bytes))};
    uint64_t total = 0, freeable = 0;
    std::vector<std::string> idle;
    for (const std::string & path : files()) {
        if (!is_cache_path(path)) continue;
        total += size_of(path);
        if (std::find(in_use.begin(), in_use.end(), path) != in_use.end() || is_being_written(path)) continue;
        idle.push_back(path);
        freeable += size_of(path);
    }
    // What would be missing if idle files of `freed` bytes were gone.
    const auto lacking = [&](uint64_t freed) -> status {
        if (total - std::min(total, freed) + bytes > limit_bytes)
            return {errc::out_of_memory,
                    format_text("%.0f MiB find no room below the limit of %.0f MiB beside files in use; "
                                "raise GGML_RKNPU_STORE_MIB",
                                in_mib(bytes), in_mib(limit_bytes))};
        const fs::space_info disk = fs::space(path_, failed);
        if (!failed && bytes > (uint64_t(disk.available) + freed) / 2)
            return {errc::out_of_memory, format_text("%.0f MiB are more than half of what the disk has free; free some "
                                                     "space, or choose another disk with GGML_RKNPU_STORE",
                                                     in_mib(bytes))};
        return {};
    };
    if (const status s = lacking(freeable); !s.ok()) return s; // deleting would be in vain
    for (const std::string & oldest : idle) {
        if (lacking(0).ok()) break;
        const uint64_t freed = size_of(oldest);
        if (fs::remove(oldest, failed)) total -= freed;
    }
    return lacking(0);
}

void store_folder::touch(const std::string & file) {
    std::error_code ignored;
    fs::last_write_time(file, fs::file_time_type::clock::now(), ignored);
}

void store_folder::drop(const std::string & file) {
    std::error_code ignored;
    if (is_cache_path(file) && !is_being_written(file)) fs::remove(file, ignored);
}

} // namespace rknpu
