// See files.h.
#include "files.h"

#include "numerics/stats-file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace rknpu {

namespace {

// One line about a file that could not be written, with the cure.
status cannot_write(const std::string & path, int error) {
    const bool full = error == ENOSPC || error == EDQUOT;
    return status(errc::permission, "cannot write '" + path + "': " + std::strerror(error) +
                                        (full              ? "; free some space there, or give another place"
                                         : error == ENOENT ? "; make the folder, or give another place"
                                                           : "; give another place"));
}

} // namespace

bool is_file(const std::string & path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored);
}

result<std::string> read_file(const std::string & path) {
    const auto refuse = [&](const char * why) { return status(errc::not_found, "cannot read '" + path + "': " + why); };
    struct stat about {};
    if (stat(path.c_str(), &about) != 0) return refuse(std::strerror(errno));
    if (!S_ISREG(about.st_mode)) return refuse(S_ISDIR(about.st_mode) ? "it is a folder" : "it is no regular file");
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    std::ostringstream content;
    if (!in) return refuse(std::strerror(errno));
    if (in.peek() != std::ifstream::traits_type::eof()) content << in.rdbuf();
    if (in.bad() || !content) return refuse(std::strerror(errno ? errno : EIO));
    return content.str();
}

std::string behind_links(const std::string & path) {
    std::error_code failed;
    if (!std::filesystem::is_symlink(path, failed)) return path;
    const auto whole = std::filesystem::canonical(path, failed);
    return failed ? path : whole.string();
}

status check_output(const std::string & path, const std::string & option) {
    if (path.empty()) return status(errc::invalid_argument, option + ": the name is empty; give a file");
    std::error_code ignored;
    const auto parent = std::filesystem::path(path).parent_path();
    if (std::filesystem::is_directory(path, ignored))
        return status(errc::invalid_argument, option + ": '" + path + "' is a folder; give a file");
    if (std::filesystem::exists(path, ignored) && !is_file(path))
        return status(errc::invalid_argument, option + ": '" + path + "' is no regular file; give another name");
    if (access(parent.empty() ? "." : parent.c_str(), W_OK) == 0) return {};
    const status why = cannot_write(path, errno);
    return status(why.code(), option + ": " + why.message());
}

status check_not_input(const std::string & output, const std::vector<std::string> & inputs) {
    std::error_code ignored;
    for (const std::string & input : inputs) {
        if (std::filesystem::equivalent(output, input, ignored))
            return status(errc::invalid_argument, "-o: '" + input + "' is an input of this call; give another name");
    }
    return {};
}

status check_statistics(const std::string & what, const std::string & path) {
    if (!is_file(path))
        return status(errc::invalid_argument, what + ": no file '" + path +
                                                  "'; give a file of rknpu calibrate or "
                                                  "llama-imatrix");
    char magic[8] = {};
    std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
    if (std::memcmp(magic, stats_magic, 8) == 0 || std::memcmp(magic, "GGUF", 4) == 0) return {};
    return status(errc::invalid_argument,
                  what + ": '" + path + "' is no file of statistics; give one of rknpu calibrate or llama-imatrix");
}

std::string partial_path(const std::string & path) {
    return path + ".partial";
}

status write_file(const std::string & name, std::string_view content) {
    const std::string path = behind_links(name);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored) && !is_file(path)) // a device: as root it would be replaced
        return status(errc::invalid_argument, "cannot write '" + path + "': it is no regular file; give another name");
    const std::string partial = partial_path(path);
    std::ofstream out(partial, std::ios::binary | std::ios::trunc);
    out.write(content.data(), std::streamsize(content.size()));
    out.close();
    if (out && std::rename(partial.c_str(), path.c_str()) == 0) return {};
    const int error = errno;
    unlink(partial.c_str());
    return cannot_write(path, error);
}

std::string text_of(const json & value, int indent) {
    return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string fingerprint(std::string_view content) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : content)
        hash = (hash ^ uint8_t(c)) * 0x100000001b3u;
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
    return text;
}

json file_identity(const std::string & path) {
    std::error_code ignored;
    const auto whole = std::filesystem::weakly_canonical(path, ignored);
    struct stat about {};
    if (stat(path.c_str(), &about) != 0) return {{"path", whole.string()}};
    return {{"path", whole.string()},
            {"bytes", int64_t(about.st_size)},
            {"changed_ns", int64_t(about.st_mtim.tv_sec) * 1000000000 + about.st_mtim.tv_nsec}};
}

status check_gguf(const std::string & what, const std::string & path) {
    const auto refuse = [&](const std::string & why) { return status(errc::invalid_argument, what + ": " + why); };
    const std::string name = "'" + path + "'";
    struct stat about {};
    if (stat(path.c_str(), &about) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return refuse("no file " + name + "; give the path of a .gguf file");
        return refuse("cannot look at " + name + ": " + std::strerror(errno) + "; give the path of a .gguf file");
    }
    if (!S_ISREG(about.st_mode))
        return refuse(name + (S_ISDIR(about.st_mode) ? " is a folder" : " is no regular file") +
                      "; give the path of a .gguf file");
    std::ifstream in(path, std::ios::binary);
    char magic[4] = {};
    if (!in) return refuse(name + " is not readable for this user; chmod +r it");
    in.read(magic, sizeof(magic));
    if (std::memcmp(magic, "GGUF", 4) == 0) return {};
    if (about.st_size == 0) return refuse(name + " is not a GGUF file: it is empty; download it again");
    return refuse(name + " is not a GGUF file (it does not begin with 'GGUF'); convert it, or download it again");
}

} // namespace rknpu
