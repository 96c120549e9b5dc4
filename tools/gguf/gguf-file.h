// A GGUF file as the test tools change it: read whole, changed in memory, written whole.
//
// Invariant: a written file is either absent or complete; whatever is wrong is a std::runtime_error of one line.
#pragma once

#include "ggml.h"
#include "gguf.h"

#include <functional>
#include <memory>
#include <string>

namespace rknpu {

struct gguf_deleter {
    void operator()(gguf_context * ctx) const { gguf_free(ctx); }
    void operator()(ggml_context * ctx) const { ggml_free(ctx); }
};
using gguf_ptr = std::unique_ptr<gguf_context, gguf_deleter>;
using ggml_ptr = std::unique_ptr<ggml_context, gguf_deleter>;

struct gguf_file {
    gguf_ptr meta;    // keys, and names of tensors
    ggml_ptr tensors; // with their data
};

gguf_file read_gguf(const std::string & path);
void write_gguf(const gguf_context * gguf, const std::string & path);

// "" without such a key.
std::string string_of(const gguf_context * gguf, const std::string & key);
int size_of(const gguf_context * gguf, const std::string & key);

// A tool's main(): an error becomes one line on stderr, "<tool>: <input>: <what>", and exit code 1.
int run_tool(const char * tool, const char * input, const std::function<void()> & work);

} // namespace rknpu
