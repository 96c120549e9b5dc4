// rknpu-make-model <shape> out.gguf --vocab model.gguf: a GGUF with the tensors and hyperparameters of a published
// model and weights from a seeded stream, for loading, planning and counting. It computes, but says nothing.
//
// Invariant: out.gguf is either absent or complete; the same arguments give the same bytes; whatever is wrong is one
// line on stderr and exit code 1. The data is written as it is made, so a file of any size needs little memory.
#include "shapes.h"

#include "ggml.h"
#include "gguf.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace {

using rknpu::content;
using rknpu::model_shape;
using rknpu::tensor_shape;

struct deleter {
    void operator()(gguf_context * ctx) const { gguf_free(ctx); }
    void operator()(ggml_context * ctx) const { ggml_free(ctx); }
};
using gguf_ptr = std::unique_ptr<gguf_context, deleter>;
using ggml_ptr = std::unique_ptr<ggml_context, deleter>;

struct options {
    const model_shape * shape = nullptr;
    std::string out, vocabulary;
    int n_layers = 0;
    uint64_t seed = 1;
    bool header_only = false;
};

// SplitMix64: any position of the stream costs the same, so each tensor has its own.
class stream {
public:
    stream(uint64_t seed, uint64_t tensor) : state_(seed * 0x9e3779b97f4a7c15 + (tensor << 40)) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

private:
    uint64_t state_;
};

// Rows of matrices have norm 1 or so, that activations neither grow nor vanish from layer to layer.
void fill(const tensor_shape & t, uint64_t seed, uint64_t index, std::vector<char> & bytes) {
    stream random(seed, index);
    if (t.quantized) {
        constexpr size_t block = 18; // an f16 scale and 32 codes of 4 bits, -8..7 with standard deviation 4.6
        const double unit = 1 / (4.6 * std::sqrt(double(t.ne[0])));
        for (size_t at = 0; at + block <= bytes.size(); at += block) {
            const uint64_t codes[2] = {random.next(), random.next()};
            const ggml_fp16_t scale = ggml_fp32_to_fp16(float(unit * (0.75 + double(codes[0] >> 56) / 512)));
            std::memcpy(&bytes[at], &scale, sizeof(scale));
            std::memcpy(&bytes[at + sizeof(scale)], codes, sizeof(codes));
        }
        return;
    }
    auto * values = reinterpret_cast<float *>(bytes.data());
    const float unit = float(std::sqrt(3.0 / double(t.ne[0])));
    for (size_t i = 0; i < bytes.size() / sizeof(float); i++) {
        const float uniform = float(random.next() >> 40) / float(1 << 23) - 1;
        values[i] = t.filled_with == content::ones ? 1.0f : unit * uniform;
    }
}

// The hyperparameters below are those of one architecture, with an FFN of one width.
bool can_be_written(const model_shape & s) {
    return std::string(s.architecture) == "gemma4" && !s.from_memory && s.n_ff_shared_kv == 0;
}

std::string shape_names() {
    std::string names;
    for (const model_shape & s : rknpu::published_shapes())
        if (can_be_written(s)) names += (names.empty() ? "" : ", ") + std::string(s.name);
    return names;
}

void set_hyperparameters(gguf_context * gguf, const model_shape & s, int n_layers) {
    const auto u32 = [&](const char * key, int value) {
        gguf_set_val_u32(gguf, (std::string("gemma4.") + key).c_str(), uint32_t(value));
    };
    const auto f32 = [&](const char * key, float value) {
        gguf_set_val_f32(gguf, (std::string("gemma4.") + key).c_str(), value);
    };
    gguf_set_val_str(gguf, "general.architecture", "gemma4");
    gguf_set_val_str(gguf, "general.name", (std::string(s.title) + ", shapes only, random weights").c_str());
    gguf_set_val_u32(gguf, "general.file_type", 2); // mostly Q4_0
    u32("context_length", 131072);
    u32("block_count", n_layers);
    u32("embedding_length", s.n_embd);
    u32("feed_forward_length", s.n_ff);
    u32("attention.head_count", s.n_heads);
    std::vector<int32_t> n_kv;
    std::vector<int8_t> sliding;
    for (int i = 0; i < n_layers; i++) {
        n_kv.push_back(s.is_full(i) ? s.n_heads_kv_full : s.n_heads_kv_sliding);
        sliding.push_back(!s.is_full(i));
    }
    gguf_set_arr_data(gguf, "gemma4.attention.head_count_kv", GGUF_TYPE_INT32, n_kv.data(), n_kv.size());
    gguf_set_arr_data(gguf, "gemma4.attention.sliding_window_pattern", GGUF_TYPE_BOOL, sliding.data(), sliding.size());
    for (const char * key : {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
        u32(key, s.head_full);
        u32((std::string(key) + "_swa").c_str(), s.head_sliding);
    }
    f32("attention.layer_norm_rms_epsilon", 1e-6f);
    f32("rope.freq_base", 1e6f);
    f32("rope.freq_base_swa", 1e4f);
    f32("final_logit_softcapping", 30.0f);
    u32("vocab_size", s.n_vocab);
    u32("attention.sliding_window", s.sliding_window);
    u32("attention.shared_kv_layers", s.shared_kv(n_layers));
    u32("embedding_length_per_layer_input", s.n_embd_per_layer);
    if (s.n_experts == 0) return;
    u32("expert_count", s.n_experts);
    u32("expert_used_count", s.n_experts_used);
    u32("expert_feed_forward_length", s.n_ff_experts);
}

int64_t array_of(const gguf_context * gguf, const char * key, gguf_type type) {
    const int64_t id = gguf_find_key(gguf, key);
    if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_ARRAY || gguf_get_arr_type(gguf, id) != type)
        throw std::runtime_error(std::string("the vocabulary's file has no ") + key);
    return id;
}

// The vocabulary of a model, and unused tokens up to n_vocab.
void set_vocabulary(gguf_context * gguf, const std::string & path, size_t n_vocab) {
    const gguf_ptr from(gguf_init_from_file(path.c_str(), {/*no_alloc=*/true, nullptr}));
    if (!from)
        throw std::runtime_error("--vocab " + path +
                                 " is not a readable GGUF file; give models/tiny-gemma4-moe-f16.gguf");
    gguf_ptr others(gguf_init_empty());
    gguf_set_kv(others.get(), from.get());
    for (int64_t i = gguf_get_n_kv(others.get()) - 1; i >= 0; i--) {
        const std::string key = gguf_get_key(others.get(), i);
        if (key.rfind("tokenizer.", 0) != 0) gguf_remove_key(others.get(), key.c_str());
    }
    gguf_set_kv(gguf, others.get());
    const int64_t tokens = array_of(from.get(), "tokenizer.ggml.tokens", GGUF_TYPE_STRING);
    const size_t n = std::min(n_vocab, size_t(gguf_get_arr_n(from.get(), tokens)));
    std::vector<std::string> names;
    std::vector<const char *> pointers;
    for (size_t i = 0; i < n_vocab; i++)
        names.push_back(i < n ? gguf_get_arr_str(from.get(), tokens, i) : "<unused" + std::to_string(i) + ">");
    for (const std::string & name : names)
        pointers.push_back(name.c_str());
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", pointers.data(), n_vocab);
    std::vector<float> scores(n_vocab, -10000.0f);
    std::vector<int32_t> types(n_vocab, 5); // unused
    std::memcpy(scores.data(),
                gguf_get_arr_data(from.get(), array_of(from.get(), "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32)),
                n * sizeof(float));
    std::memcpy(types.data(),
                gguf_get_arr_data(from.get(), array_of(from.get(), "tokenizer.ggml.token_type", GGUF_TYPE_INT32)),
                n * sizeof(int32_t));
    gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), n_vocab);
    gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), n_vocab);
}

void add_tensors(gguf_context * gguf, ggml_context * ctx, const std::vector<tensor_shape> & tensors) {
    for (const tensor_shape & t : tensors) {
        ggml_tensor * tensor =
            ggml_new_tensor(ctx, t.quantized ? GGML_TYPE_Q4_0 : GGML_TYPE_F32, int(t.ne.size()), t.ne.data());
        ggml_set_name(tensor, t.name.c_str());
        gguf_add_tensor(gguf, tensor);
    }
}

// Appends the data of all tensors in pieces of whole rows.
void write_data(std::FILE * file, const gguf_context * gguf, const std::vector<tensor_shape> & tensors, uint64_t seed) {
    const uint64_t begin = gguf_get_meta_size(gguf);
    constexpr size_t piece = size_t(18) << 20; // whole blocks, whole floats
    std::vector<char> bytes;
    for (size_t i = 0; i < tensors.size(); i++) {
        if (fseeko(file, off_t(begin + gguf_get_tensor_offset(gguf, int64_t(i))), SEEK_SET) != 0)
            throw std::runtime_error(std::strerror(errno));
        const size_t size = gguf_get_tensor_size(gguf, int64_t(i));
        for (size_t at = 0; at < size; at += bytes.size()) {
            bytes.resize(std::min(piece, size - at));
            fill(tensors[i], seed, (uint64_t(i) << 12) + at / piece, bytes);
            if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size())
                throw std::runtime_error(std::strerror(errno));
        }
    }
}

uint64_t file_size(const gguf_context * gguf) {
    const int64_t last = gguf_get_n_tensors(gguf) - 1;
    const uint64_t end = gguf_get_tensor_offset(gguf, last) + gguf_get_tensor_size(gguf, last);
    return gguf_get_meta_size(gguf) + GGML_PAD(end, gguf_get_alignment(gguf));
}

void make(const options & o) {
    const auto tensors = rknpu::tensors_of(*o.shape, o.n_layers);
    const gguf_ptr gguf(gguf_init_empty());
    set_hyperparameters(gguf.get(), *o.shape, o.n_layers);
    set_vocabulary(gguf.get(), o.vocabulary, size_t(o.shape->n_vocab));
    const ggml_ptr ctx(ggml_init({tensors.size() * ggml_tensor_overhead(), nullptr, /*no_alloc=*/true}));
    add_tensors(gguf.get(), ctx.get(), tensors);
    const std::string part = o.out + ".part";
    try {
        if (!gguf_write_to_file(gguf.get(), part.c_str(), /*only_meta=*/true))
            throw std::runtime_error(std::strerror(errno));
        if (!o.header_only) {
            std::FILE * file = std::fopen(part.c_str(), "r+b");
            if (!file) throw std::runtime_error(std::strerror(errno));
            const std::unique_ptr<std::FILE, int (*)(std::FILE *)> closed(file, std::fclose);
            write_data(file, gguf.get(), tensors, o.seed);
            if (std::fflush(file) != 0) throw std::runtime_error(std::strerror(errno));
        }
        std::filesystem::resize_file(part, file_size(gguf.get())); // what was not written are holes: zeros
        std::filesystem::rename(part, o.out);
    } catch (const std::exception & e) {
        std::remove(part.c_str());
        throw std::runtime_error("cannot write " + o.out + ": " + e.what());
    }
    std::printf("%s: %zu tensors, %.2f GiB%s\n", o.out.c_str(), tensors.size(),
                double(file_size(gguf.get())) / (1 << 30), o.header_only ? ", all of it a hole but the header" : "");
}

uint64_t number(const std::string & name, const char * text, uint64_t least, uint64_t most) {
    char * end = nullptr;
    const uint64_t value = *text >= '0' && *text <= '9' ? std::strtoull(text, &end, 10) : 0;
    if (!end || *end || value < least || value > most)
        throw std::runtime_error(name + " " + text + " is not a whole number from " + std::to_string(least) + " to " +
                                 std::to_string(most));
    return value;
}

options parse(int argc, char ** argv) {
    options o;
    std::vector<std::string> words;
    std::string layers;
    for (int i = 1; i < argc; i++) {
        const std::string word = argv[i];
        const auto value = [&] {
            if (i + 1 == argc) throw std::runtime_error(word + " needs a value");
            return argv[++i];
        };
        if (word == "--vocab")
            o.vocabulary = value();
        else if (word == "--layers")
            layers = value();
        else if (word == "--seed")
            o.seed = number(word, value(), 0, UINT64_MAX);
        else if (word == "--header-only")
            o.header_only = true;
        else if (word.rfind("--", 0) == 0)
            throw std::runtime_error("no option " + word + " (--vocab, --layers, --seed, --header-only)");
        else
            words.push_back(word);
    }
    if (words.size() != 2 || o.vocabulary.empty())
        throw std::runtime_error("usage: rknpu-make-model <shape> out.gguf --vocab model.gguf [--layers N] [--seed N] "
                                 "[--header-only]; shapes: " +
                                 shape_names());
    o.shape = rknpu::find_shape(words[0]);
    if (!o.shape || !can_be_written(*o.shape))
        throw std::runtime_error("no shape '" + words[0] + "' (" + shape_names() + ")");
    o.out = words[1];
    o.n_layers = o.shape->n_layers;
    if (!layers.empty()) o.n_layers = int(number("--layers", layers.c_str(), 1, uint64_t(o.shape->n_layers)));
    return o;
}

} // namespace

int main(int argc, char ** argv) {
    ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // one line is ours, not ggml's ten
    try {
        make(parse(argc, argv));
    } catch (const std::exception & error) {
        std::fprintf(stderr, "rknpu-make-model: %s\n", error.what());
        return 1;
    }
    return 0;
}
