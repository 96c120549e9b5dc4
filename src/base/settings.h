// The settings table: GGML_RKNPU_* environment variables, read in this one file.
//
// Invariant: settings are read once, before the first device is opened, and never change afterwards. A value that
// cannot be used is reported in one line and replaced by its default.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

struct settings {
    using text = std::string;
    using flag = bool;
    using count = uint64_t;
#define X(member, type, NAME, default_text, smallest, largest, meaning) type member{};
#include "base/settings.inc"
#undef X
};

// One row of the table with its value in force, for tools and docs.
struct setting_row {
    std::string name; // with the GGML_RKNPU_ prefix
    std::string default_text;
    std::string value;
    std::string meaning;
    bool from_environment;
};

// Reads the environment (as in getenv's environ). complaints receives one line for each unknown GGML_RKNPU_ name (with
// the nearest known one) and each value that cannot be used.
settings read_settings(const char * const * environment, std::vector<std::string> & complaints);

// The table with the values in force in an environment: a value that cannot be used shows as its default.
std::vector<setting_row> list_settings(const char * const * environment);

// Where this user's programs keep what they can make again; empty: the environment does not say.
std::string cache_folder();

// The process's settings, read from the environment on the first call; complaints are logged as warnings then.
const settings & global_settings();

} // namespace rknpu
