// The shapes of two published models, as their GGUF files have them: names, sizes and hyperparameters, no weights.
//
// Invariant: tensors_of lists what llama.cpp's loader of the architecture asks for, in its order; a smaller number of
// layers changes nothing about the layers that are left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

struct model_shape {
    const char * name; // for the command line
    const char * title;
    int n_layers, n_embd, n_ff;
    int n_heads, n_heads_kv_sliding, n_heads_kv_full;
    int head_sliding, head_full;
    bool full_has_v; // layers of full attention have a projection of V
    int n_shared_kv; // last layers, which read the KV cache of earlier ones
    int n_experts, n_experts_used, n_ff_experts;
    int n_embd_per_layer;
    int sliding_window;
    int n_vocab;

    // Every sixth layer sees everything.
    bool is_full(int layer) const { return layer % 6 == 5; }
    // Layers that share KV need others to share with.
    int shared_kv(int layers) const { return layers < n_layers ? 0 : n_shared_kv; }
};

// nullptr: not known.
const model_shape * find_shape(const std::string & name);
std::string shape_names();

enum class content { matrix, ones };

struct tensor_shape {
    std::string name;
    std::vector<int64_t> ne;
    bool q4_0; // otherwise f32
    content filled_with;
};
std::vector<tensor_shape> tensors_of(const model_shape & shape, int n_layers);

} // namespace rknpu
