// See shapes.h. Sizes: the published configurations; names: llama.cpp v0.5.0, src/models/gemma4.cpp.
#include "shapes.h"

namespace rknpu {

namespace {

constexpr model_shape shapes[] = {
    {"gemma4-26b-a4b", "Gemma 4 26B A4B", 30, 2816, 2112, 16, 8, 2, 256, 512, false, 0, 128, 8, 704, 0, 1024, 262144},
    {"gemma4-e4b", "Gemma 4 E4B", 42, 2560, 10240, 8, 2, 2, 256, 512, true, 18, 0, 0, 0, 256, 512, 262144},
};

void add_layer(const model_shape & s, int layer, int n_layers, std::vector<tensor_shape> & out) {
    const std::string b = "blk." + std::to_string(layer) + ".";
    const auto matrix = [&](const char * name, std::vector<int64_t> ne) {
        out.push_back({b + name + ".weight", std::move(ne), true, content::matrix});
    };
    const auto vector = [&](const std::string & name, int64_t n) {
        out.push_back({b + name, {n}, false, content::ones});
    };
    const bool full = s.is_full(layer), has_kv = layer < n_layers - s.shared_kv(n_layers);
    const int head = full ? s.head_full : s.head_sliding, n_kv = full ? s.n_heads_kv_full : s.n_heads_kv_sliding;
    vector("attn_norm.weight", s.n_embd);
    matrix("attn_q", {s.n_embd, s.n_heads * head});
    if (has_kv) matrix("attn_k", {s.n_embd, n_kv * head});
    if (has_kv && (!full || s.full_has_v)) matrix("attn_v", {s.n_embd, n_kv * head});
    matrix("attn_output", {s.n_heads * head, s.n_embd});
    vector("attn_q_norm.weight", head);
    if (has_kv) vector("attn_k_norm.weight", head);
    vector("post_attention_norm.weight", s.n_embd);
    vector("layer_output_scale.weight", 1);
    vector("ffn_norm.weight", s.n_embd);
    matrix("ffn_gate", {s.n_embd, s.n_ff});
    matrix("ffn_up", {s.n_embd, s.n_ff});
    matrix("ffn_down", {s.n_ff, s.n_embd});
    vector("post_ffw_norm.weight", s.n_embd);
    if (s.n_experts) {
        out.push_back({b + "ffn_gate_inp.weight", {s.n_embd, s.n_experts}, false, content::matrix});
        vector("ffn_gate_inp.scale", s.n_embd);
        vector("pre_ffw_norm_2.weight", s.n_embd);
        vector("post_ffw_norm_1.weight", s.n_embd);
        vector("post_ffw_norm_2.weight", s.n_embd);
        matrix("ffn_gate_up_exps", {s.n_embd, 2 * s.n_ff_experts, s.n_experts});
        matrix("ffn_down_exps", {s.n_ff_experts, s.n_embd, s.n_experts});
        vector("ffn_down_exps.scale", s.n_experts);
    }
    if (s.n_embd_per_layer) {
        matrix("inp_gate", {s.n_embd, s.n_embd_per_layer});
        matrix("proj", {s.n_embd_per_layer, s.n_embd});
        vector("post_norm.weight", s.n_embd);
    }
}

} // namespace

const model_shape * find_shape(const std::string & name) {
    for (const model_shape & s : shapes) {
        if (name == s.name) return &s;
    }
    return nullptr;
}

std::string shape_names() {
    std::string names;
    for (const model_shape & s : shapes)
        names += (names.empty() ? "" : ", ") + std::string(s.name);
    return names;
}

std::vector<tensor_shape> tensors_of(const model_shape & s, int n_layers) {
    std::vector<tensor_shape> all;
    all.push_back({"token_embd.weight", {s.n_embd, s.n_vocab}, true, content::matrix});
    if (s.n_embd_per_layer) {
        const int64_t n = int64_t(s.n_embd_per_layer) * n_layers;
        all.push_back({"per_layer_token_embd.weight", {n, s.n_vocab}, true, content::matrix});
        all.push_back({"per_layer_model_proj.weight", {s.n_embd, n}, true, content::matrix});
        all.push_back({"per_layer_proj_norm.weight", {s.n_embd_per_layer}, false, content::ones});
    }
    all.push_back({"output_norm.weight", {s.n_embd}, false, content::ones});
    // The loader refuses a file with a tensor that no layer asks for.
    if (n_layers > 5) all.push_back({"rope_freqs.weight", {s.head_full / 2}, false, content::ones});
    for (int layer = 0; layer < n_layers; layer++)
        add_layer(s, layer, n_layers, all);
    return all;
}

} // namespace rknpu
