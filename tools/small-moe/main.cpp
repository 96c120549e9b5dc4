// rknpu-make-small-moe: a random model of a few layers in one of llama.cpp's architectures with experts, as
// llama.cpp's own test-llama-archs makes them: for tests of graphs that the bundled models do not have.
//
//   rknpu-make-small-moe qwen3moe|lfm2moe|gpt-oss|gpt-oss-f16 out.gguf model.gguf   with the vocabulary of model.gguf
//
// Names of keys and tensors: llama.cpp v0.5.0, src/models/{qwen3moe,lfm2,lfm2moe,openai-moe}.cpp. gpt-oss has experts
// in MXFP4 with a bias each, as its published files do; gpt-oss-f16 has the same values in f16. Invariant: equal
// arguments give equal files.
#include "gguf-file.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

namespace {

using rknpu::ggml_ptr;
using rknpu::gguf_ptr;

constexpr int n_layers = 3, n_embd = 256, n_heads = 4, n_heads_kv = 2, head = 64, n_ff = 384, n_ff_experts = 160,
              n_experts = 16, n_used = 3, n_conv = 3;

class model {
public:
    // experts: in this type; their values are those of twin, if that is another type.
    model(const std::string & architecture, ggml_type experts, ggml_type twin, const std::string & vocabulary)
        : architecture_(architecture), experts_(experts), twin_(twin), gguf_(gguf_init_empty()),
          from_(rknpu::read_gguf(vocabulary)), tensors_(ggml_init({size_t(64) << 20, nullptr, /*no_alloc=*/false})) {}

    void make();
    void write(const std::string & path) const { rknpu::write_gguf(gguf_.get(), path); }

private:
    std::string key(const char * name) const { return architecture_ + "." + name; }
    void u32(const char * name, int value) { gguf_set_val_u32(gguf_.get(), key(name).c_str(), uint32_t(value)); }
    void set_keys();
    void set_vocabulary();
    // Normal values: of a matrix so that rows have norm `size`, of a vector around `mean`.
    void add(const std::string & name, std::vector<int64_t> ne, ggml_type type, float size, float mean = 0);
    void matrix(const std::string & name, std::vector<int64_t> ne, ggml_type type = GGML_TYPE_F16) {
        add(name, std::move(ne), type, 1);
    }
    void norm(const std::string & name, int64_t n) { add(name, {n}, GGML_TYPE_F32, 0.1f, 1); }
    void bias(const std::string & name, std::vector<int64_t> ne) { add(name, std::move(ne), GGML_TYPE_F32, 0.2f); }
    void add_attention(const std::string & b);
    void add_ffn(const std::string & b, bool dense);
    bool is(const char * architecture) const { return architecture_ == architecture; }

    std::string architecture_;
    ggml_type experts_, twin_;
    gguf_ptr gguf_;
    rknpu::gguf_file from_;
    ggml_ptr tensors_;
    std::mt19937 random_{1};
    int64_t n_vocab_ = 0;
};

void model::set_keys() {
    gguf_set_val_str(gguf_.get(), "general.architecture", architecture_.c_str());
    u32("context_length", 2048);
    u32("block_count", n_layers);
    u32("embedding_length", n_embd);
    u32("feed_forward_length", n_ff);
    u32("attention.head_count", n_heads);
    u32("expert_count", n_experts);
    u32("expert_used_count", n_used);
    u32("expert_feed_forward_length", n_ff_experts);
    gguf_set_val_f32(gguf_.get(), key("attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
    gguf_set_val_f32(gguf_.get(), key("rope.freq_base").c_str(), 1e4f);
    if (!is("lfm2moe")) {
        u32("attention.head_count_kv", n_heads_kv);
        u32("attention.key_length", head);
        u32("attention.value_length", head);
        u32("attention.sliding_window", 128); // gpt-oss only; the others do not look
        return;
    }
    const int32_t heads_kv[n_layers] = {0, n_heads_kv, 0}; // 0: a layer of short convolutions
    gguf_set_arr_data(gguf_.get(), key("attention.head_count_kv").c_str(), GGUF_TYPE_INT32, heads_kv, n_layers);
    u32("leading_dense_block_count", 1);
    u32("shortconv.l_cache", n_conv);
    u32("expert_gating_func", 2); // sigmoid
}

void model::set_vocabulary() {
    gguf_set_kv(gguf_.get(), from_.meta.get());
    for (int64_t i = gguf_get_n_kv(gguf_.get()) - 1; i >= 0; i--) {
        const std::string name = gguf_get_key(gguf_.get(), i);
        if (name.rfind("tokenizer.", 0) != 0) gguf_remove_key(gguf_.get(), name.c_str());
    }
    const int64_t tokens = gguf_find_key(gguf_.get(), "tokenizer.ggml.tokens");
    if (tokens < 0) throw std::runtime_error("it has no vocabulary");
    n_vocab_ = int64_t(gguf_get_arr_n(gguf_.get(), tokens));
}

void model::add(const std::string & name, std::vector<int64_t> ne, ggml_type type, float size, float mean) {
    ggml_tensor * t = ggml_new_tensor(tensors_.get(), type, int(ne.size()), ne.data());
    ggml_set_name(t, name.c_str());
    std::normal_distribution<float> normal(mean, mean == 0 ? size / std::sqrt(float(ne[0])) : size);
    std::vector<float> values(size_t(ggml_nelements(t)));
    for (float & v : values)
        v = normal(random_);
    if (type == experts_ && ne.size() == 3 && twin_ != type) {
        std::vector<uint8_t> codes(ggml_row_size(twin_, ggml_nelements(t)));
        ggml_quantize_chunk(twin_, values.data(), codes.data(), 0, ggml_nrows(t), ne[0], nullptr);
        ggml_get_type_traits(twin_)->to_float(codes.data(), values.data(), ggml_nelements(t));
    }
    if (type == GGML_TYPE_F32)
        std::memcpy(t->data, values.data(), values.size() * sizeof(float));
    else
        ggml_quantize_chunk(type, values.data(), t->data, 0, ggml_nrows(t), ne[0], nullptr);
    gguf_add_tensor(gguf_.get(), t);
}

void model::add_attention(const std::string & b) {
    matrix(b + "attn_q.weight", {n_embd, n_heads * head});
    matrix(b + "attn_k.weight", {n_embd, n_heads_kv * head});
    matrix(b + "attn_v.weight", {n_embd, n_heads_kv * head});
    matrix(b + "attn_output.weight", {n_heads * head, n_embd});
    if (is("gpt-oss")) {
        bias(b + "attn_q.bias", {n_heads * head});
        bias(b + "attn_k.bias", {n_heads_kv * head});
        bias(b + "attn_v.bias", {n_heads_kv * head});
        bias(b + "attn_output.bias", {n_embd});
        bias(b + "attn_sinks.weight", {n_heads});
    } else {
        norm(b + "attn_q_norm.weight", head);
        norm(b + "attn_k_norm.weight", head);
    }
}

void model::add_ffn(const std::string & b, bool dense) {
    if (dense) {
        matrix(b + "ffn_gate.weight", {n_embd, n_ff});
        matrix(b + "ffn_up.weight", {n_embd, n_ff});
        matrix(b + "ffn_down.weight", {n_ff, n_embd});
        return;
    }
    matrix(b + "ffn_gate_inp.weight", {n_embd, n_experts}, GGML_TYPE_F32);
    matrix(b + "ffn_gate_exps.weight", {n_embd, n_ff_experts, n_experts}, experts_);
    matrix(b + "ffn_up_exps.weight", {n_embd, n_ff_experts, n_experts}, experts_);
    matrix(b + "ffn_down_exps.weight", {n_ff_experts, n_embd, n_experts}, experts_);
    if (is("lfm2moe")) bias(b + "exp_probs_b.bias", {n_experts});
    if (!is("gpt-oss")) return;
    bias(b + "ffn_gate_inp.bias", {n_experts});
    bias(b + "ffn_gate_exps.bias", {n_ff_experts, n_experts});
    bias(b + "ffn_up_exps.bias", {n_ff_experts, n_experts});
    bias(b + "ffn_down_exps.bias", {n_embd, n_experts});
}

void model::make() {
    set_vocabulary();
    set_keys();
    matrix("token_embd.weight", {n_embd, n_vocab_});
    if (is("gpt-oss")) matrix("output.weight", {n_embd, n_vocab_});
    norm(is("lfm2moe") ? "token_embd_norm.weight" : "output_norm.weight", n_embd);
    for (int layer = 0; layer < n_layers; layer++) {
        const std::string b = "blk." + std::to_string(layer) + ".";
        norm(b + "attn_norm.weight", n_embd);
        norm(b + (is("gpt-oss") ? "post_attention_norm.weight" : "ffn_norm.weight"), n_embd);
        if (is("lfm2moe") && layer != 1) {
            add(b + "shortconv.conv.weight", {n_conv, n_embd}, GGML_TYPE_F32, 1);
            matrix(b + "shortconv.in_proj.weight", {n_embd, 3 * n_embd});
            matrix(b + "shortconv.out_proj.weight", {n_embd, n_embd});
        } else {
            add_attention(b);
        }
        add_ffn(b, is("lfm2moe") && layer == 0);
    }
}

} // namespace

int main(int argc, char ** argv) {
    struct kind {
        const char *name, *architecture;
        ggml_type experts, twin;
    };
    constexpr kind kinds[] = {{"qwen3moe", "qwen3moe", GGML_TYPE_F16, GGML_TYPE_F16},
                              {"lfm2moe", "lfm2moe", GGML_TYPE_F16, GGML_TYPE_F16},
                              {"gpt-oss", "gpt-oss", GGML_TYPE_MXFP4, GGML_TYPE_MXFP4},
                              {"gpt-oss-f16", "gpt-oss", GGML_TYPE_F16, GGML_TYPE_MXFP4}};
    for (const kind & k : kinds) {
        if (argc != 4 || std::strcmp(argv[1], k.name) != 0) continue;
        return rknpu::run_tool("rknpu-make-small-moe", argv[3], [&] {
            model m(k.architecture, k.experts, k.twin, argv[3]);
            m.make();
            m.write(argv[2]);
        });
    }
    std::fprintf(stderr, "usage: rknpu-make-small-moe qwen3moe|lfm2moe|gpt-oss|gpt-oss-f16 out.gguf vocabulary.gguf\n");
    return 2;
}
