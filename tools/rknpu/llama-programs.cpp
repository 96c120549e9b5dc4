// See llama-programs.h.
#include "llama-programs.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <unistd.h>

extern "C" char ** environ;

namespace rknpu {

namespace {

namespace fs = std::filesystem;

std::string own_folder() {
    std::error_code ignored;
    return fs::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

bool is_program(const std::string & path) {
    return is_file(path) && access(path.c_str(), X_OK) == 0;
}

// The first of the folders (relative to this program's own) that has the file.
std::string find_library(const std::string & name, std::initializer_list<std::string> folders) {
    for (const std::string & folder : folders) {
        const fs::path path = fs::path(own_folder()) / folder / name; // an absolute folder stays as it is
        std::error_code ignored;
        if (is_file(path.string())) return fs::canonical(path, ignored).string();
    }
    return "";
}

bool begins_with(const std::string & text, const char * prefix) {
    return text.rfind(prefix, 0) == 0;
}

std::vector<std::string> inherited(std::initializer_list<const char *> without) {
    std::vector<std::string> kept;
    for (char ** variable = environ; *variable; variable++) {
        const std::string text = *variable;
        if (std::none_of(without.begin(), without.end(),
                         [&](const char * prefix) { return begins_with(text, prefix); }))
            kept.push_back(text);
    }
    return kept;
}

} // namespace

result<std::string> find_program(const std::string & name, const std::string & folder) {
    if (!folder.empty()) {
        const std::string path = folder + "/" + name;
        if (is_program(path)) return path;
        return status(errc::invalid_argument,
                      "no program '" + path + "'; give --llama-bin the folder of llama.cpp's programs");
    }
    std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string place; std::getline(path, place, ':');)
        if (!place.empty() && is_program(place + "/" + name)) return place + "/" + name;
    const std::string built = std::string(RKNPU_LLAMA_CPP_BIN) + "/" + name;
    if (is_program(built)) return built;
    return status(errc::not_found,
                  name + " is not in PATH; install llama.cpp, or give --llama-bin <folder of its programs>");
}

result<std::string> find_plugin(const std::string & wanted) {
    if (!wanted.empty()) {
        if (is_file(wanted)) return fs::absolute(wanted).string();
        return status(errc::invalid_argument, "no plugin '" + wanted + "'; give --plugin the path of libggml-rknpu.so");
    }
    const char * exported = std::getenv("GGML_BACKEND_PATH");
    if (exported && fs::path(exported).filename() == "libggml-rknpu.so" && is_file(exported))
        return fs::absolute(exported).string();
    const std::string found = find_library("libggml-rknpu.so", {".", "../../src/backend", RKNPU_BACKEND_FOLDER});
    if (!found.empty()) return found;
    return status(errc::not_found, "libggml-rknpu.so is not beside this program; build it (make build), or give "
                                   "--plugin <path of libggml-rknpu.so>");
}

std::string find_exit_gate() {
    return find_library("librknpu-exit-gate.so", {".", RKNPU_BACKEND_FOLDER});
}

std::string find_emulator() {
    return find_library("librknnrt.so", {"../../emulator"});
}

std::vector<std::string> cpu_environment() {
    return inherited({"GGML_BACKEND_PATH=", "GGML_RKNPU_", "LLAMA_ARG_"});
}

std::vector<std::string> npu_environment(const std::string & plugin, const assignments & settings) {
    std::vector<std::string> all = inherited({"GGML_BACKEND_PATH=", "LLAMA_ARG_"});
    const auto set = [&](const std::string & name, const std::string & value) {
        all.erase(std::remove_if(all.begin(), all.end(),
                                 [&](const std::string & v) { return begins_with(v, (name + "=").c_str()); }),
                  all.end());
        all.push_back(name + "=" + value);
    };
    set("GGML_BACKEND_PATH", plugin);
    set("GGML_RKNPU_STORE", "off"); // a model in many formats would push the user's own out of the cache
    for (const auto & [name, value] : settings)
        set(name, value);
    return all;
}

json settings_that_matter() {
    json all = json::object();
    std::vector<std::string> found;
    for (char ** variable = environ; *variable; variable++) {
        const std::string text = *variable;
        if (!begins_with(text, "GGML_RKNPU_")) continue;
        bool set_by_runs = false;
        for (const char * name : {"LOCK=", "SUMMARY=", "FORMAT=", "STATS=", "CAPTURE", "CACHE=", "STORE", "PACK="})
            set_by_runs |= begins_with(text, (std::string("GGML_RKNPU_") + name).c_str());
        if (!set_by_runs) found.push_back(text);
    }
    std::sort(found.begin(), found.end());
    for (const std::string & text : found)
        all[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
    return all;
}

} // namespace rknpu
