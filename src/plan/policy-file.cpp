// See policy-file.h.
#include "plan/policy-file.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace rknpu {

result<policy> read_policy(const std::string & text) {
    if (text.empty() || text[0] != '@') return policy::parse(text);
    const std::string path = text.substr(1);
    std::ifstream file(path);
    std::string lines;
    for (std::string line; std::getline(file, line);)
        lines += line + '\n';
    if (!file.is_open() || file.bad()) // a folder can be opened, but not read
        return status(errc::not_found, "the file of rules '" + path + "' cannot be read (" + std::strerror(errno) +
                                           "); give the path of a text file after the @");
    auto parsed = policy::parse_lines(lines);
    if (!parsed.ok()) return status(parsed.status().code(), path + ": " + parsed.status().message());
    return parsed;
}

} // namespace rknpu
