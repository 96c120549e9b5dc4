// The shapes of published models, as their GGUF files have them: names, sizes and hyperparameters, no weights.
//
// Invariant: tensors_of lists what llama.cpp's loader of the architecture asks for; a smaller number of layers changes
// nothing about the layers that are left. A configuration that was written down from memory says so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

// What mixes the tokens in the layers that do not see everything.
enum class mixer { sliding, convolution, delta_rule };

struct model_shape {
    const char * name; // for the command line
    const char * title;
    const char * architecture; // llama.cpp's name
    const char * origin;       // of this configuration
    bool from_memory;          // at least in part: nobody has compared it with a file of the model
    int n_layers, n_embd, n_ff, n_vocab;
    int n_heads, n_heads_kv_sliding, n_heads_kv_full;
    int head_sliding, head_full;

    int full_every = 1, full_first = 0; // layers full_first, full_first + full_every, ... see everything
    mixer others = mixer::sliding;
    int sliding_window = 0;
    bool tied_output = true; // the embedding is the output head as well
    bool full_has_v = true;  // layers of full attention have a projection of V
    bool gated_q = false;    // attn_q also makes a gate of attention's output
    bool qk_norm = false;
    bool post_norms = false; // Gemma's norms behind attention and FFN
    int n_shared_kv = 0;     // last layers, which read the KV cache of earlier ones
    int n_ff_shared_kv = 0;  // their FFN; 0: as of the others
    int n_experts = 0, n_experts_used = 0, n_ff_experts = 0;
    int n_dense_layers = 0;            // first layers, which have no experts
    bool dense_beside_experts = false; // all layers have a dense FFN too
    int n_embd_per_layer = 0;
    int delta_key = 0, delta_value = 0, delta_heads = 0; // widths of q (and k) and v, and heads of v, of the delta rule

    bool is_full(int layer) const { return layer % full_every == full_first; }
    // Layers that share KV need others to share with.
    int shared_kv(int layers) const { return layers < n_layers ? 0 : n_shared_kv; }
    // Floats of the recurrent state of a layer that has one.
    int64_t state_floats(int layer) const;
};

// All that are known.
const std::vector<model_shape> & published_shapes();
// nullptr: not known.
const model_shape * find_shape(const std::string & name);

enum class content { matrix, ones };

struct tensor_shape {
    std::string name;
    std::vector<int64_t> ne;
    bool quantized; // otherwise f32
    content filled_with;
};
std::vector<tensor_shape> tensors_of(const model_shape & shape, int n_layers);

} // namespace rknpu
