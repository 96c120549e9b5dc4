// What the CPU does in each layer beside the matmuls, as far as sizes tell: attention over the KV cache, recurrent
// states, norms. From the tensors' names and shapes, and a few hyperparameters.
//
// Invariant: pure.
#pragma once

#include "gguf-model.h"

namespace rknpu {

// Of a layer whose value differs between layers there is one each; otherwise one for all.
struct layer_hyperparameters {
    std::vector<int64_t> n_heads, n_heads_kv;
    int64_t sliding_window = 0;   // 0: every layer sees everything
    std::vector<bool> is_sliding; // of each layer; empty: as sliding_every says
    int sliding_every = 1;        // every so many-th layer (counted from one) sees everything
    int64_t state_floats = 0;     // recurrent state of a layer that has one
    bool gelu = false;            // the gates of the FFN
};

// Whether the gates of an architecture are GELU: Gemma's are, those of the others SiLU.
bool gates_with_gelu(const std::string & architecture);

// Layers in which a hyperparameter is missing come out without what it describes.
std::vector<model_layer> layers_of(const std::vector<model_tensor> & tensors, const layer_hyperparameters & hyper);

// What llama.cpp multiplies by an activation are matrices named .weight; the embeddings are tables of rows, except that
// token_embd is the output head where there is no other. Sets model_tensor::is_multiplied.
void mark_multiplied(std::vector<model_tensor> & tensors);

// Cells of the KV cache of a layer at a context of so many tokens: llama.cpp keeps a window, a micro-batch and what
// rounds that up.
size_t kv_cells(const model_layer & layer, size_t context);
// Bytes of the KV cache (f16) of all layers and of the recurrent states (f32).
uint64_t kv_bytes(const std::vector<model_layer> & layers, size_t context);

} // namespace rknpu
