// See shapes.h. Names: llama.cpp v0.5.0, src/models.
#include "shapes.h"

#include <utility>

namespace rknpu {

namespace {

class layer_tensors {
public:
    layer_tensors(const model_shape & shape, int layer, int n_layers, std::vector<tensor_shape> & out)
        : s_(shape), layer_(layer), n_layers_(n_layers), prefix_("blk." + std::to_string(layer) + "."), out_(out) {}

    void add() {
        vector("attn_norm.weight", s_.n_embd);
        if (s_.is_full(layer_) || s_.others == mixer::sliding)
            add_attention();
        else if (s_.others == mixer::convolution)
            add_convolution();
        else
            add_delta_rule();
        if (s_.post_norms) vector("post_attention_norm.weight", s_.n_embd);
        if (is_gemma4()) vector("layer_output_scale.weight", 1);
        const bool experts = s_.n_experts && layer_ >= s_.n_dense_layers;
        vector("ffn_norm.weight", s_.n_embd);
        if (!experts || s_.dense_beside_experts) add_ffn();
        if (s_.post_norms) vector("post_ffw_norm.weight", s_.n_embd);
        if (experts) add_experts();
        if (s_.n_embd_per_layer) {
            matrix("inp_gate", {s_.n_embd, s_.n_embd_per_layer});
            matrix("proj", {s_.n_embd_per_layer, s_.n_embd});
            vector("post_norm.weight", s_.n_embd);
        }
    }

private:
    bool is_gemma4() const { return std::string(s_.architecture) == "gemma4"; }
    bool has_kv() const { return layer_ < n_layers_ - s_.shared_kv(n_layers_); }
    void matrix(const char * name, std::vector<int64_t> ne) {
        out_.push_back({prefix_ + name + ".weight", std::move(ne), true, content::matrix});
    }
    void vector(const std::string & name, int64_t n) { out_.push_back({prefix_ + name, {n}, false, content::ones}); }

    void add_attention() {
        const bool full = s_.is_full(layer_);
        const int head = full ? s_.head_full : s_.head_sliding;
        const int n_kv = full ? s_.n_heads_kv_full : s_.n_heads_kv_sliding;
        matrix("attn_q", {s_.n_embd, int64_t(s_.n_heads) * head * (s_.gated_q ? 2 : 1)});
        if (has_kv()) matrix("attn_k", {s_.n_embd, n_kv * head});
        if (has_kv() && (!full || s_.full_has_v)) matrix("attn_v", {s_.n_embd, n_kv * head});
        matrix("attn_output", {s_.n_heads * head, s_.n_embd});
        if (s_.qk_norm) vector("attn_q_norm.weight", head);
        if (s_.qk_norm && has_kv()) vector("attn_k_norm.weight", head);
    }
    void add_convolution() {
        matrix("shortconv.in_proj", {s_.n_embd, 3 * s_.n_embd});
        matrix("shortconv.out_proj", {s_.n_embd, s_.n_embd});
        out_.push_back({prefix_ + "shortconv.conv.weight", {3, s_.n_embd}, false, content::matrix});
    }
    void add_delta_rule() {
        matrix("attn_qkv", {s_.n_embd, 2 * s_.delta_key + s_.delta_value});
        matrix("attn_gate", {s_.n_embd, s_.delta_value});
        out_.push_back({prefix_ + "ssm_conv1d.weight", {4, 2 * s_.delta_key + s_.delta_value}, false, content::matrix});
        for (const char * name : {"ssm_beta", "ssm_alpha"})
            matrix(name, {s_.n_embd, s_.delta_heads});
        vector("ssm_norm.weight", s_.delta_value / s_.delta_heads);
        matrix("ssm_out", {s_.delta_value, s_.n_embd});
    }
    void add_ffn() {
        const bool shared = s_.n_ff_shared_kv && !has_kv();
        const int n_ff = shared ? s_.n_ff_shared_kv : s_.n_ff;
        matrix("ffn_gate", {s_.n_embd, n_ff});
        matrix("ffn_up", {s_.n_embd, n_ff});
        matrix("ffn_down", {n_ff, s_.n_embd});
    }
    void add_experts() {
        out_.push_back({prefix_ + "ffn_gate_inp.weight", {s_.n_embd, s_.n_experts}, false, content::matrix});
        if (!is_gemma4()) {
            matrix("ffn_gate_exps", {s_.n_embd, s_.n_ff_experts, s_.n_experts});
            matrix("ffn_up_exps", {s_.n_embd, s_.n_ff_experts, s_.n_experts});
            matrix("ffn_down_exps", {s_.n_ff_experts, s_.n_embd, s_.n_experts});
            return;
        }
        vector("ffn_gate_inp.scale", s_.n_embd);
        vector("pre_ffw_norm_2.weight", s_.n_embd);
        vector("post_ffw_norm_1.weight", s_.n_embd);
        vector("post_ffw_norm_2.weight", s_.n_embd);
        matrix("ffn_gate_up_exps", {s_.n_embd, 2 * s_.n_ff_experts, s_.n_experts});
        matrix("ffn_down_exps", {s_.n_ff_experts, s_.n_embd, s_.n_experts});
        vector("ffn_down_exps.scale", s_.n_experts);
    }

    const model_shape & s_;
    int layer_, n_layers_;
    std::string prefix_;
    std::vector<tensor_shape> & out_;
};

} // namespace

int64_t model_shape::state_floats(int layer) const {
    if (others != mixer::delta_rule || is_full(layer)) return 0;
    return int64_t(delta_value) * (delta_value / delta_heads); // a square matrix for each head
}

const model_shape * find_shape(const std::string & name) {
    for (const model_shape & s : published_shapes()) {
        if (name == s.name) return &s;
    }
    return nullptr;
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
    if (!s.tied_output) all.push_back({"output.weight", {s.n_embd, s.n_vocab}, true, content::matrix});
    // The loader refuses a file with a tensor that no layer asks for.
    const bool any_full = n_layers > s.full_first;
    if (std::string(s.architecture) == "gemma4" && any_full)
        all.push_back({"rope_freqs.weight", {s.head_full / 2}, false, content::ones});
    for (int layer = 0; layer < n_layers; layer++)
        layer_tensors(s, layer, n_layers, all).add();
    return all;
}

} // namespace rknpu
