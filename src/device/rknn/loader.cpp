// See loader.h.
#include "device/rknn/loader.h"

#include "base/log.h"
#include "device/board.h"
#include "device/versions.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace rknpu {

namespace {

// The newest release that an old library can be, judged by what it lacks; empty when it has all the marks.
std::string missing_mark(void * library) {
#define X(symbol, release)                                                                                             \
    if (!dlsym(library, #symbol)) return release;
    RKNN_MARKER_SYMBOLS(X)
#undef X
    return "";
}

} // namespace

result<rknn_runtime> load_runtime(const std::string & given) {
    // dlopen searches a name without a slash elsewhere than in the working folder.
    char * resolved = realpath(given.c_str(), nullptr);
    const std::string path = resolved ? resolved : given;
    std::free(resolved);
    if (access(path.c_str(), F_OK) != 0) {
        return status(errc::not_found,
                      "the NPU runtime " + path + " does not exist: set GGML_RKNPU_RUNTIME to your librknnrt.so");
    }
    void * library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return status(errc::incompatible, "cannot load the NPU runtime: " + std::string(dlerror()) +
                                              ": set GGML_RKNPU_RUNTIME to a librknnrt.so for this machine");
    }
    rknn_runtime runtime;
    std::string missing;
    const std::string older_than = missing_mark(library);
#define X(symbol, member, return_type, arguments)                                                                      \
    runtime.member = reinterpret_cast<decltype(runtime.member)>(dlsym(library, #symbol));                              \
    if (!runtime.member && missing.empty()) missing = #symbol;
    RKNN_MANDATORY_SYMBOLS(X)
#undef X
    if (!runtime.matmul_create) {
        dlclose(library);
        return status(
            errc::incompatible,
            path +
                " is not an RKNN runtime (no rknn_matmul_create in it): set GGML_RKNPU_RUNTIME to your librknnrt.so");
    }
    if (!older_than.empty()) {
        dlclose(library);
        return status(errc::incompatible, "the NPU runtime " + path + " is older than " + older_than +
                                              ": install librknnrt " + known_runtime);
    }
    if (!missing.empty()) {
        dlclose(library);
        return status(errc::incompatible, "the NPU runtime " + path + " lacks the function " + missing +
                                              ": install librknnrt " + known_runtime);
    }
    runtime.path = path;
    runtime.emulated = dlsym(library, "rknn_emu_version") != nullptr;
    return runtime;
}

result<rknn_runtime> find_runtime(const std::string & setting) {
    if (!setting.empty()) return load_runtime(setting);
    for (const auto & path : runtime_candidates()) {
        if (access(path.c_str(), F_OK) == 0) return load_runtime(path);
    }
    return status(errc::not_found,
                  "no NPU runtime: librknnrt.so is in none of the usual places; get it from "
                  "Rockchip's rknn-toolkit2 (rknpu2/runtime/Linux/librknn_api/aarch64), copy it to /usr/lib");
}

} // namespace rknpu
