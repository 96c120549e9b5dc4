// See shape-model.h.
#include "shape-model.h"

#include "base/near-name.h"
#include "model-layers.h"

namespace rknpu {

namespace {

// ggml's types by their bits per weight, scales included (ggml-common.h of llama.cpp v0.5.0).
struct source_type {
    const char * name;
    double bits;
};
constexpr source_type sources[] = {{"f16", 16},   {"q8_0", 8.5}, {"q6_K", 6.5625}, {"q5_K", 5.5},
                                   {"q4_K", 4.5}, {"q4_0", 4.5}, {"f32", 32}};

const source_type * find_source(const std::string & name) {
    for (const source_type & s : sources) {
        if (name == s.name) return &s;
    }
    return nullptr;
}

} // namespace

gguf_model model_of(const model_shape & shape, const std::string & source) {
    gguf_model model;
    model.architecture = shape.architecture;
    model.n_experts_used = size_t(std::max(1, shape.n_experts_used));
    for (const tensor_shape & t : tensors_of(shape, shape.n_layers)) {
        const source_type & type = *find_source(t.quantized ? source : "f32");
        model_tensor m{};
        m.facts.name = t.name;
        m.facts.K = t.ne[0];
        m.facts.N = t.ne.size() > 1 ? t.ne[1] : 1;
        m.facts.n_matrices = t.ne.size() > 2 ? t.ne[2] : 1;
        m.facts.source_bits = type.bits;
        m.source = type.name;
        m.n_rows = m.facts.N * m.facts.n_matrices;
        m.bytes = uint64_t(double(m.facts.K * m.n_rows) * type.bits / 8);
        model.tensors.push_back(std::move(m));
    }
    mark_multiplied(model.tensors);
    layer_hyperparameters hyper;
    hyper.n_heads = {shape.n_heads};
    hyper.n_heads_kv = {shape.n_heads_kv_full};
    hyper.gelu = gates_with_gelu(shape.architecture);
    hyper.sliding_window = shape.sliding_window;
    for (int i = 0; i < shape.n_layers; i++)
        hyper.is_sliding.push_back(!shape.is_full(i));
    for (int i = 0; i < shape.n_layers && hyper.state_floats == 0; i++)
        hyper.state_floats = shape.state_floats(i);
    model.layers = layers_of(model.tensors, hyper);
    return model;
}

result<named_shape> parse_named_shape(const std::string & text) {
    const size_t colon = text.find(':');
    const std::string name = text.substr(0, colon);
    const model_shape * shape = find_shape(name);
    if (!shape) return status(errc::not_found, "no shape '" + name + "'");
    const std::string source = colon == std::string::npos ? "q4_0" : text.substr(colon + 1);
    if (find_source(source)) return named_shape{shape, source};
    std::string known;
    for (const source_type & s : sources)
        known += (known.empty() ? "" : ", ") + std::string(s.name);
    return status(errc::invalid_argument,
                  "'" + source + "' of '" + text + "' is no type of weights that shapes can have; use one of " + known);
}

std::string shape_names() {
    std::string names;
    for (const model_shape & s : published_shapes())
        names += (names.empty() ? "" : ", ") + std::string(s.name);
    return names;
}

std::string near_shape(const std::string & name) {
    std::vector<std::string> names;
    for (const model_shape & s : published_shapes())
        names.push_back(s.name);
    return near_name(names, name.substr(0, name.find(':')), name.size() / 3);
}

} // namespace rknpu
