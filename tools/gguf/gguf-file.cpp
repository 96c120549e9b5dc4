// See gguf-file.h.
#include "gguf-file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace rknpu {

gguf_file read_gguf(const std::string & path) {
    if (!std::ifstream(path).is_open()) throw std::runtime_error("cannot be opened");
    ggml_context * tensors = nullptr;
    gguf_file file;
    file.meta.reset(gguf_init_from_file(path.c_str(), {/*no_alloc=*/false, &tensors}));
    file.tensors.reset(tensors);
    if (!file.meta || !file.tensors) {
        throw std::runtime_error("is not a complete GGUF file (truncated?); copy it again");
    }
    return file;
}

void write_gguf(const gguf_context * gguf, const std::string & path) {
    const std::string unfinished = path + ".part";
    if (!gguf_write_to_file(gguf, unfinished.c_str(), false) || std::rename(unfinished.c_str(), path.c_str()) != 0) {
        const int why = errno;
        std::remove(unfinished.c_str());
        throw std::runtime_error("could be read, but " + path + " cannot be written: " + std::strerror(why));
    }
}

std::string string_of(const gguf_context * gguf, const std::string & key) {
    const int64_t id = gguf_find_key(gguf, key.c_str());
    if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_STRING) return "";
    return gguf_get_val_str(gguf, id);
}

int size_of(const gguf_context * gguf, const std::string & key) {
    const int64_t id = gguf_find_key(gguf, key.c_str());
    if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_UINT32) throw std::runtime_error("it has no " + key);
    return int(gguf_get_val_u32(gguf, id));
}

int run_tool(const char * tool, const char * input, const std::function<void()> & work) {
    ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // one line is ours, not ggml's ten
    try {
        work();
    } catch (const std::exception & error) {
        std::fprintf(stderr, "%s: %s: %s\n", tool, input, error.what());
        return 1;
    }
    return 0;
}

} // namespace rknpu
