// See model-layers.h.
#include "model-layers.h"

#include "plan/policy.h"

#include <algorithm>
#include <map>

namespace rknpu {

namespace {

bool contains(const std::string & text, const char * word) {
    return text.find(word) != std::string::npos;
}

bool is_multiplied(const model_tensor & t, bool has_output) {
    const std::string & name = t.facts.name;
    if (!contains(name, ".weight") || t.n_rows < 2 || contains(name, "norm")) return false;
    if (contains(name, "conv1d") || contains(name, ".conv.")) return false;
    if (name == "token_embd.weight") return !has_output;
    for (const char * table : {"per_layer_token_embd", "position_embd", "token_types", "rope_"}) {
        if (contains(name, table)) return false;
    }
    return true;
}

int64_t of_layer(const std::vector<int64_t> & values, size_t layer) {
    if (values.empty()) return 0;
    return values[std::min(layer, values.size() - 1)];
}

// The tensors of one layer by their names without "blk.N." and ".weight".
using named_tensors = std::map<std::string, const weight_facts *>;

std::string short_name(const std::string & name) {
    const size_t begin = name.find('.', 4) + 1, end = name.rfind(".weight");
    return name.substr(begin, end == std::string::npos ? end : end - begin);
}

// Widths of q, k and v of a layer of attention.
void add_attention(const named_tensors & tensors, int64_t n_heads, int64_t n_heads_kv, model_layer & layer) {
    const auto find = [&](const char * name) {
        const auto found = tensors.find(name);
        return found == tensors.end() ? nullptr : found->second;
    };
    const weight_facts *q = find("attn_q"), *k = find("attn_k"), *v = find("attn_v"), *qkv = find("attn_qkv");
    const weight_facts *out = find("attn_output"), *latent = find("attn_kv_a_mqa");
    if (!q && !qkv && !latent) return;
    layer.n_heads = n_heads;
    // Behind attention, because attn_q may make a gate as well.
    if (out)
        layer.q_width = out->K;
    else if (q)
        layer.q_width = q->N;
    if (latent) {
        layer.k_width = latent->N;
        layer.owns_cache = true;
    } else if (k) {
        layer.k_width = k->N;
        layer.v_width = v ? v->N : k->N; // V is another norm of K's projection where it has none of its own
        layer.owns_cache = true;
    } else if (qkv && n_heads > 0 && n_heads_kv > 0) {
        layer.k_width = layer.v_width = qkv->N * n_heads_kv / (n_heads + 2 * n_heads_kv);
        layer.owns_cache = true;
    }
}

// Norms of heads run over all of them.
void add_norms(const named_tensors & tensors, model_layer & layer) {
    for (const auto & [name, facts] : tensors) {
        if (!contains(name, "norm") || contains(name, ".bias") || facts->N != 1) continue;
        layer.n_norms++;
        if (name == "attn_q_norm")
            layer.norm_width += std::max(facts->K, layer.q_width);
        else if (name == "attn_k_norm")
            layer.norm_width += std::max(facts->K, layer.k_width);
        else
            layer.norm_width += facts->K;
    }
}

} // namespace

bool gates_with_gelu(const std::string & architecture) {
    return architecture.rfind("gemma", 0) == 0;
}

std::vector<model_layer> layers_of(const std::vector<model_tensor> & tensors, const layer_hyperparameters & hyper) {
    std::vector<named_tensors> by_layer;
    std::vector<model_layer> layers;
    for (const model_tensor & t : tensors) {
        const int index = role_of(t.facts.name).layer;
        if (index < 0 || index > 4095) continue;
        const size_t layer = size_t(index);
        if (by_layer.size() <= layer) {
            by_layer.resize(layer + 1);
            layers.resize(layer + 1);
        }
        const std::string name = short_name(t.facts.name);
        by_layer[layer][name] = &t.facts;
        if (name == "ffn_gate" || name == "ffn_up") layers[layer].ffn_width = t.facts.N;
        if (name == "ffn_gate_exps" || name == "ffn_up_exps") layers[layer].expert_width = t.facts.N;
        if (name == "ffn_gate_up_exps") layers[layer].expert_width = t.facts.N / 2;
        if (name == "shortconv.in_proj") layers[layer].state = 3 * t.facts.K;
    }
    for (size_t i = 0; i < layers.size(); i++) {
        model_layer & layer = layers[i];
        layer.gelu = hyper.gelu;
        const bool recurrent = by_layer[i].count("ssm_conv1d") || by_layer[i].count("ssm_out");
        if (recurrent) {
            layer.state = hyper.state_floats;
            add_norms(by_layer[i], layer);
            continue;
        }
        const bool sliding = i < hyper.is_sliding.size()
                                 ? hyper.is_sliding[i]
                                 : (i + 1) % size_t(std::max<int64_t>(hyper.sliding_every, 1)) != 0;
        layer.window = sliding ? std::max<int64_t>(hyper.sliding_window, 0) : 0;
        add_attention(by_layer[i], of_layer(hyper.n_heads, i), of_layer(hyper.n_heads_kv, i), layer);
        add_norms(by_layer[i], layer);
        if (layer.q_width == 0 || layer.owns_cache) continue;
        // The cache of the last earlier layer that sees as far.
        for (size_t earlier = i; earlier-- > 0;) {
            const model_layer & e = layers[earlier];
            if (!e.owns_cache || e.window != layer.window) continue;
            layer.k_width = e.k_width;
            layer.v_width = e.v_width;
            break;
        }
    }
    return layers;
}

void mark_multiplied(std::vector<model_tensor> & tensors) {
    const bool has_output = std::any_of(tensors.begin(), tensors.end(),
                                        [](const model_tensor & t) { return t.facts.name == "output.weight"; });
    for (model_tensor & t : tensors)
        t.is_multiplied = is_multiplied(t, has_output);
}

size_t kv_cells(const model_layer & layer, size_t context) {
    constexpr size_t micro_batch = 512, step = 256; // llama.cpp's n_ubatch, and its padding of the cache
    const size_t window = size_t(layer.window);
    return window ? std::min(context, (window + micro_batch + step - 1) / step * step) : context;
}

uint64_t kv_bytes(const std::vector<model_layer> & layers, size_t context) {
    uint64_t bytes = 0;
    for (const model_layer & layer : layers) {
        if (layer.owns_cache) bytes += kv_cells(layer, context) * uint64_t(layer.k_width + layer.v_width) * 2;
        bytes += uint64_t(layer.state) * 4;
    }
    return bytes;
}

} // namespace rknpu
