// See files.h.
#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace rknpu {

bool is_file(const std::string & path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored);
}

result<std::string> read_file(const std::string & path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream content;
    if (!is_file(path) || !in) return status(errc::not_found, "cannot read '" + path + "': " + std::strerror(errno));
    if (in.peek() != std::ifstream::traits_type::eof()) content << in.rdbuf();
    return content.str();
}

status check_output(const std::string & path) {
    std::error_code ignored;
    const auto parent = std::filesystem::path(path).parent_path();
    if (std::filesystem::is_directory(path, ignored))
        return status(errc::invalid_argument, "-o: '" + path + "' is a folder; give a file");
    if (access(parent.empty() ? "." : parent.c_str(), W_OK) != 0)
        return status(errc::permission, "-o: cannot write '" + path + "': " + std::strerror(errno));
    return {};
}

std::string partial_path(const std::string & path) {
    return path + ".partial";
}

status write_file(const std::string & path, std::string_view content) {
    const std::string partial = partial_path(path);
    std::ofstream out(partial, std::ios::binary | std::ios::trunc);
    out.write(content.data(), std::streamsize(content.size()));
    out.close();
    if (out && std::rename(partial.c_str(), path.c_str()) == 0) return {};
    const std::string why = std::strerror(errno);
    unlink(partial.c_str());
    return status(errc::permission, "cannot write '" + path + "': " + why);
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
    if (!is_file(path))
        return status(errc::invalid_argument, what + ": no file '" + path + "'; give the path of a .gguf file");
    std::ifstream in(path, std::ios::binary);
    char magic[4] = {};
    if (!in)
        return status(errc::invalid_argument, what + ": '" + path + "' is not readable for this user; chmod +r it");
    in.read(magic, sizeof(magic));
    if (std::memcmp(magic, "GGUF", 4) == 0) return {};
    return status(errc::invalid_argument, what + ": '" + path +
                                              "' is not a GGUF file (it does not begin with 'GGUF'); convert it, or "
                                              "download it again");
}

} // namespace rknpu
