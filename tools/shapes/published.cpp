// The table of shapes.h.
//
// "as published": the model's own configuration as collected for this project. "from memory": written down
// by the authors of this table without a file to compare; the number of parameters agrees with the model's name.
#include "shapes.h"

namespace rknpu {

namespace {

constexpr const char * published = "as published";
constexpr const char * partly = "sizes published, the rest from memory";
constexpr const char * memory = "from memory";

// Gemma 3 and 4: every sixth layer sees everything, norms all around.
model_shape gemma(model_shape s, int sliding_window) {
    s.full_every = 6;
    s.full_first = 5;
    s.sliding_window = sliding_window;
    s.qk_norm = s.post_norms = true;
    return s;
}

// Qwen 3.5: every fourth layer is attention with a gate, the others follow the gated delta rule.
model_shape qwen35(model_shape s, int delta_key, int delta_value, int delta_heads) {
    s.full_every = 4;
    s.full_first = 3;
    s.others = mixer::delta_rule;
    s.gated_q = s.qk_norm = true;
    s.delta_key = delta_key;
    s.delta_value = delta_value;
    s.delta_heads = delta_heads;
    return s;
}

std::vector<model_shape> make_table() {
    std::vector<model_shape> all;

    // name, title, architecture, origin, from memory; layers, embd, ff, vocab; heads, KV sliding, full; head, full
    model_shape s = gemma(
        {"gemma4-26b-a4b", "Gemma 4 26B A4B", "gemma4", published, false, 30, 2816, 2112, 262144, 16, 8, 2, 256, 512},
        1024);
    s.full_has_v = false;
    s.n_experts = 128;
    s.n_experts_used = 8;
    s.n_ff_experts = 704;
    s.dense_beside_experts = true;
    all.push_back(s);

    s = gemma({"gemma4-e4b", "Gemma 4 E4B", "gemma4", published, false, 42, 2560, 10240, 262144, 8, 2, 2, 256, 512},
              512);
    s.n_shared_kv = 18;
    s.n_embd_per_layer = 256;
    all.push_back(s);

    s = gemma({"gemma4-e2b", "Gemma 4 E2B", "gemma4", memory, true, 35, 1536, 6144, 262144, 8, 1, 1, 256, 512}, 512);
    s.full_every = 5;
    s.full_first = 4;
    s.n_shared_kv = 20;
    s.n_ff_shared_kv = 12288;
    s.n_embd_per_layer = 256;
    all.push_back(s);

    all.push_back(
        gemma({"gemma3-1b", "Gemma 3 1B", "gemma3", partly, true, 26, 1152, 6912, 262144, 4, 1, 1, 256, 256}, 512));

    all.push_back(
        {"granite4-350m", "Granite 4.0 350M", "granite", memory, true, 28, 1024, 2048, 100352, 16, 4, 4, 64, 64});

    all.push_back(
        {"ministral3-3b", "Ministral 3 3B", "mistral3", memory, true, 26, 3072, 9216, 131072, 32, 8, 8, 128, 128});

    s = qwen35({"qwen3.5-9b", "Qwen3.5 9B", "qwen35", memory, true, 32, 4096, 12288, 248320, 16, 4, 4, 256, 256}, 2048,
               4096, 32);
    s.tied_output = false;
    all.push_back(s);
    all.push_back(
        qwen35({"qwen3.5-2b", "Qwen3.5 2B", "qwen35", memory, true, 24, 2048, 6144, 248320, 8, 2, 2, 256, 256}, 2048,
               2048, 16));

    s = {"lfm2-8b-a1b", "LFM2 8B A1B", "lfm2moe", partly, true, 24, 2048, 7168, 65536, 32, 8, 8, 64, 64};
    s.full_every = 4;
    s.full_first = 2;
    s.others = mixer::convolution;
    s.qk_norm = true;
    s.n_experts = 32;
    s.n_experts_used = 4;
    s.n_ff_experts = 1792;
    s.n_dense_layers = 2;
    all.push_back(s);

    all.push_back({"qwen2.5-1.5b", "Qwen2.5 1.5B", "qwen2", memory, true, 28, 1536, 8960, 151936, 12, 2, 2, 128, 128});

    s = {"qwen3-0.6b", "Qwen3 0.6B", "qwen3", memory, true, 28, 1024, 3072, 151936, 16, 8, 8, 128, 128};
    s.qk_norm = true;
    all.push_back(s);
    s = {"qwen3-1.7b", "Qwen3 1.7B", "qwen3", memory, true, 28, 2048, 6144, 151936, 16, 8, 8, 128, 128};
    s.qk_norm = true;
    all.push_back(s);
    return all;
}

} // namespace

const std::vector<model_shape> & published_shapes() {
    static const std::vector<model_shape> table = make_table();
    return table;
}

} // namespace rknpu
