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

struct model_layer {
    int64_t n_heads = 0, q_width = 0;        // of attention; 0: none
    int64_t k_width = 0, v_width = 0;        // of the KV cache that it reads, per token
    bool owns_cache = false;                 // otherwise it reads that of an earlier layer
    int64_t window = 0;                      // tokens that it sees; 0: all
    int64_t state = 0;                       // floats of a recurrent state
    int64_t ffn_width = 0, expert_width = 0; // columns between up and down; of one expert
    int64_t n_norms = 0, norm_width = 0;     // norms, and the columns of all of them together
    bool gelu = false;                       // the gate is GELU; otherwise SiLU
};

struct gguf_model {
    std::string architecture;
    size_t n_experts_used = 1;         // of each token
    size_t context_trained = 0;        // tokens; 0: not known
    std::vector<model_tensor> tensors; // in the order of the file, of the first part first
    std::vector<model_layer> layers;
};

// Reads the header; of a model in several files, those of all of them, path being the first part. status: one line with
// the cure.
result<gguf_model> read_gguf_model(const std::string & path);

} // namespace rknpu
