// What a GGUF file says of its tensors, read from the header by llama.cpp's own library (libggml-base).
//
// Invariant: no tensor data is read; a file that is not whole is refused.
#pragma once

#include "base/status.h"
#include "plan/plan.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

struct model_tensor {
    weight_facts facts;
    std::string source; // ggml's name of its type, e.g. q4_K
    int64_t n_rows;     // of all matrices
    uint64_t bytes;     // in the file
    bool is_multiplied; // by a matmul of the model, as far as its name and shape tell
};

struct gguf_model {
    std::string architecture;
    size_t n_experts_used = 1; // of each token
    std::vector<model_tensor> tensors; // in the order of the file, of the first part first
};

// Reads the header; of a model in several files, those of all of them, path being the first part. status: one line with
// the cure.
result<gguf_model> read_gguf_model(const std::string & path);

} // namespace rknpu
