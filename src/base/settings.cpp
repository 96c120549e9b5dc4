// See settings.h.
#include "base/settings.h"

#include "base/log.h"
#include "base/near-name.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

extern "C" char ** environ;

namespace rknpu {

namespace {

constexpr const char * prefix = "GGML_RKNPU_";

std::optional<std::string> find_variable(const char * const * environment, const std::string & name) {
    for (; *environment; environment++) {
        const char * equals = std::strchr(*environment, '=');
        if (equals && name.size() == size_t(equals - *environment) &&
            name.compare(0, name.size(), *environment, name.size()) == 0) {
            return std::string(equals + 1);
        }
    }
    return std::nullopt;
}

struct range {
    uint64_t smallest, largest;
};

bool parse(const std::string & value, range, std::string & out) {
    out = value;
    return true;
}
bool parse(const std::string & value, range, bool & out) {
    out = value == "1";
    return value == "0" || value == "1";
}
bool parse(const std::string & value, range allowed, uint64_t & out) {
    if (value.empty() || value.size() > 15 || value.find_first_not_of("0123456789") != std::string::npos) return false;
    out = std::strtoull(value.c_str(), nullptr, 10);
    return out >= allowed.smallest && out <= allowed.largest;
}
std::string expected(const std::string &, range) {
    return "text";
}
std::string expected(const bool &, range) {
    return "0 or 1";
}
std::string expected(const uint64_t &, range allowed) {
    return "a whole number from " + std::to_string(allowed.smallest) + " to " + std::to_string(allowed.largest);
}

std::string as_text(const std::string & value) {
    return value;
}
std::string as_text(bool value) {
    return value ? "1" : "0";
}
std::string as_text(uint64_t value) {
    return std::to_string(value);
}

std::vector<std::string> known_names() {
    return {
#define X(member, type, NAME, default_text, smallest, largest, meaning) std::string(prefix) + #NAME,
#include "base/settings.inc"
#undef X
    };
}

void complain_about_unknown(const char * const * environment, std::vector<std::string> & complaints) {
    const auto known = known_names();
    for (; *environment; environment++) {
        const char * equals = std::strchr(*environment, '=');
        if (!equals || std::strncmp(*environment, prefix, std::strlen(prefix)) != 0) continue;
        const std::string name(*environment, equals);
        // Where builds are kept; read by scripts/llama-cpp.sh, not by the library.
        if (name == "GGML_RKNPU_CACHE" || std::find(known.begin(), known.end(), name) != known.end()) continue;
        const std::string nearest = near_name(known, name, 4);
        complaints.push_back(
            "unknown setting " + name + " is ignored; " +
            (nearest.empty() ? "'rknpu settings' lists the known ones" : "did you mean " + nearest + "?"));
    }
}

template <class T>
T read_one(const char * const * environment, const std::string & name, const char * default_text, range allowed,
           std::vector<std::string> & complaints) {
    T value{};
    const auto given = find_variable(environment, name);
    if (given && parse(*given, allowed, value)) return value;
    if (given) {
        complaints.push_back(name + "=" + *given + " is not " + expected(value, allowed) + "; using the default (" +
                             (*default_text ? default_text : "empty") + ")");
    }
    parse(default_text, allowed, value);
    return value;
}

} // namespace

settings read_settings(const char * const * environment, std::vector<std::string> & complaints) {
    settings s;
#define X(member, type, NAME, default_text, smallest, largest, meaning)                                                \
    s.member = read_one<settings::type>(environment, std::string(prefix) + #NAME, default_text, {smallest, largest},   \
                                        complaints);
#include "base/settings.inc"
#undef X
    complain_about_unknown(environment, complaints);
    return s;
}

std::vector<setting_row> list_settings(const char * const * environment) {
    std::vector<std::string> ignored;
    const settings s = read_settings(environment, ignored);
    std::vector<setting_row> rows;
#define X(member, type, NAME, default_text, smallest, largest, meaning)                                                \
    rows.push_back({std::string(prefix) + #NAME, default_text, as_text(s.member), meaning,                             \
                    find_variable(environment, std::string(prefix) + #NAME).has_value()});
#include "base/settings.inc"
#undef X
    return rows;
}

std::string cache_folder() {
    const auto xdg = find_variable(environ, "XDG_CACHE_HOME"), home = find_variable(environ, "HOME");
    // The XDG base directory specification: what is not absolute is to be ignored.
    if (xdg && !xdg->empty() && (*xdg)[0] == '/') return *xdg + "/ggml-rknpu";
    return home && !home->empty() ? *home + "/.cache/ggml-rknpu" : "";
}

const settings & global_settings() {
    static const settings s = [] {
        std::vector<std::string> complaints;
        const settings read = read_settings(environ, complaints);
        for (const auto & line : complaints)
            log_warn("%s", line.c_str());
        return read;
    }();
    return s;
}

} // namespace rknpu
