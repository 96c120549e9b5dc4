// See gguf-model.h. libggml-base is opened when it is needed, so that the other subcommands run without it.
#include "gguf-model.h"

#include "base/log.h"
#include "files.h"
#include "model-layers.h"

#include "ggml.h"
#include "gguf.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <memory>

namespace rknpu {

namespace {

// The functions of libggml-base that we call, by their declarations in llama.cpp's headers.
#define RKNPU_GGML_FUNCTIONS(X)                                                                                        \
    X(ggml_log_set)                                                                                                    \
    X(ggml_type_name)                                                                                                  \
    X(ggml_type_size)                                                                                                  \
    X(ggml_blck_size)                                                                                                  \
    X(gguf_init_from_file)                                                                                             \
    X(gguf_free)                                                                                                       \
    X(gguf_find_key)                                                                                                   \
    X(gguf_get_kv_type)                                                                                                \
    X(gguf_get_val_u16)                                                                                                \
    X(gguf_get_val_u32)                                                                                                \
    X(gguf_get_arr_type)                                                                                               \
    X(gguf_get_arr_n)                                                                                                  \
    X(gguf_get_arr_data)                                                                                               \
    X(gguf_get_val_str)                                                                                                \
    X(gguf_get_data_offset)                                                                                            \
    X(gguf_get_n_tensors)                                                                                              \
    X(gguf_get_tensor_name)                                                                                            \
    X(gguf_get_tensor_type)                                                                                            \
    X(gguf_get_tensor_offset)                                                                                          \
    X(gguf_get_tensor_size)                                                                                            \
    X(gguf_get_tensor_ne)

struct ggml_library {
#define X(name) decltype(&::name) name = nullptr;
    RKNPU_GGML_FUNCTIONS(X)
#undef X
};

result<ggml_library> open_ggml() {
    void * handle = nullptr;
    for (const char * name : {"libggml-base.so.0", "libggml-base.so"}) {
        if (!handle) handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (!handle)
        return status(errc::not_found, "llama.cpp's libggml-base.so is needed to read GGUF files and is not found; "
                                       "install llama.cpp, or set LD_LIBRARY_PATH=<the folder that holds it>");
    ggml_library library;
#define X(name)                                                                                                        \
    library.name = reinterpret_cast<decltype(&::name)>(dlsym(handle, #name));                                          \
    if (!library.name)                                                                                                 \
        return status(errc::incompatible,                                                                              \
                      "llama.cpp's libggml-base.so has no function " #name "; use llama.cpp v0.5.0 or later");
    RKNPU_GGML_FUNCTIONS(X)
#undef X
    library.ggml_log_set([](ggml_log_level, const char *, void *) {}, nullptr); // one line is ours, not ggml's ten
    return library;
}

// One file of a model.
class gguf_file {
public:
    static result<gguf_file> open(const ggml_library & ggml, const std::string & path) {
        if (auto s = check_gguf("model", path); !s.ok()) return s;
        gguf_file file(ggml, path);
        file.gguf_.reset(ggml.gguf_init_from_file(path.c_str(), {/*no_alloc=*/true, /*ctx=*/nullptr}));
        std::error_code ignored;
        if (!file.gguf_ || file.end_of_data() > std::filesystem::file_size(path, ignored))
            return status(errc::invalid_argument, "model: '" + path +
                                                      "' is not a complete GGUF file (truncated?); "
                                                      "copy or download it again");
        return file;
    }

    std::string text(const char * key) const {
        const int64_t id = ggml_->gguf_find_key(gguf_.get(), key);
        const bool there = id >= 0 && ggml_->gguf_get_kv_type(gguf_.get(), id) == GGUF_TYPE_STRING;
        return there ? ggml_->gguf_get_val_str(gguf_.get(), id) : "";
    }
    int number(const char * key) const {
        const int64_t id = ggml_->gguf_find_key(gguf_.get(), key);
        if (id < 0) return 0;
        switch (ggml_->gguf_get_kv_type(gguf_.get(), id)) {
        case GGUF_TYPE_UINT16:
            return ggml_->gguf_get_val_u16(gguf_.get(), id);
        case GGUF_TYPE_UINT32:
            return int(ggml_->gguf_get_val_u32(gguf_.get(), id));
        default:
            return 0;
        }
    }

    // A number, or one for each layer.
    std::vector<int64_t> numbers(const std::string & key) const {
        const int64_t id = ggml_->gguf_find_key(gguf_.get(), key.c_str());
        if (id < 0) return {};
        if (ggml_->gguf_get_kv_type(gguf_.get(), id) != GGUF_TYPE_ARRAY) return {number(key.c_str())};
        const size_t n = ggml_->gguf_get_arr_n(gguf_.get(), id);
        const void * data = ggml_->gguf_get_arr_data(gguf_.get(), id);
        switch (ggml_->gguf_get_arr_type(gguf_.get(), id)) {
        case GGUF_TYPE_INT32:
            return {static_cast<const int32_t *>(data), static_cast<const int32_t *>(data) + n};
        case GGUF_TYPE_UINT32:
            return {static_cast<const uint32_t *>(data), static_cast<const uint32_t *>(data) + n};
        case GGUF_TYPE_BOOL:
            return {static_cast<const int8_t *>(data), static_cast<const int8_t *>(data) + n};
        default:
            return {};
        }
    }

    void append_tensors(std::vector<model_tensor> & out) const {
        for (int64_t i = 0; i < ggml_->gguf_get_n_tensors(gguf_.get()); i++) {
            const int64_t * ne = ggml_->gguf_get_tensor_ne(gguf_.get(), i);
            const ggml_type type = ggml_->gguf_get_tensor_type(gguf_.get(), i);
            model_tensor t{};
            t.facts = {ggml_->gguf_get_tensor_name(gguf_.get(), i), ne[0], ne[1], ne[2] * ne[3]};
            t.facts.source_bits = 8.0 * double(ggml_->ggml_type_size(type)) / double(ggml_->ggml_blck_size(type));
            t.source = ggml_->ggml_type_name(type);
            t.n_rows = ne[1] * ne[2] * ne[3];
            t.bytes = ggml_->gguf_get_tensor_size(gguf_.get(), i);
            out.push_back(std::move(t));
        }
    }

private:
    gguf_file(const ggml_library & ggml, std::string path)
        : ggml_(&ggml), path_(std::move(path)), gguf_(nullptr, ggml.gguf_free) {}

    uint64_t end_of_data() const {
        uint64_t end = 0;
        for (int64_t i = 0; i < ggml_->gguf_get_n_tensors(gguf_.get()); i++)
            end = std::max<uint64_t>(end, ggml_->gguf_get_tensor_offset(gguf_.get(), i) +
                                              ggml_->gguf_get_tensor_size(gguf_.get(), i));
        return end ? ggml_->gguf_get_data_offset(gguf_.get()) + end : 0;
    }

    const ggml_library * ggml_;
    std::string path_;
    std::unique_ptr<gguf_context, decltype(&::gguf_free)> gguf_;
};

// llama.cpp's names of the parts: <prefix>-00001-of-00003.gguf.
std::string part_suffix(int number, int count) {
    return format_text("-%05d-of-%05d.gguf", number, count);
}

status append_other_parts(const ggml_library & ggml, const std::string & first, int count,
                          std::vector<model_tensor> & out) {
    const std::string suffix = part_suffix(1, count);
    if (first.size() < suffix.size() || first.compare(first.size() - suffix.size(), suffix.size(), suffix) != 0)
        return {errc::invalid_argument, format_text("model: '%s' is the first of %d parts, but its name does not end "
                                                    "in %s; give the parts their names again",
                                                    first.c_str(), count, suffix.c_str())};
    for (int i = 2; i <= count; i++) {
        const auto part = gguf_file::open(ggml, first.substr(0, first.size() - suffix.size()) + part_suffix(i, count));
        if (!part.ok()) return part.status();
        part.value().append_tensors(out);
    }
    return {};
}

// The layer that sees everything of so many, in architectures whose files do not say so: llama.cpp v0.5.0, src/models.
int64_t sliding_every(const std::string & architecture) {
    const std::pair<const char *, int> known[] = {{"gemma2", 2},  {"gemma3", 6},  {"gemma3n", 5},
                                                  {"gpt-oss", 2}, {"cohere2", 4}, {"exaone4", 4}};
    for (const auto & [name, every] : known)
        if (architecture == name) return every;
    return 1;
}

layer_hyperparameters hyperparameters_of(const gguf_file & file, const std::string & architecture) {
    const auto key = [&](const char * name) { return architecture + "." + name; };
    layer_hyperparameters hyper;
    hyper.n_heads = file.numbers(key("attention.head_count"));
    hyper.n_heads_kv = file.numbers(key("attention.head_count_kv"));
    hyper.sliding_window = file.number(key("attention.sliding_window").c_str());
    const auto pattern = file.numbers(key("attention.sliding_window_pattern"));
    hyper.sliding_every = pattern.size() == 1 ? pattern[0] : sliding_every(architecture);
    if (pattern.size() > 1) hyper.is_sliding.assign(pattern.begin(), pattern.end());
    hyper.state_floats =
        int64_t(file.number(key("ssm.state_size").c_str())) * file.number(key("ssm.inner_size").c_str());
    hyper.gelu = gates_with_gelu(architecture);
    return hyper;
}

} // namespace

result<gguf_model> read_gguf_model(const std::string & path) {
    const auto ggml = open_ggml();
    if (!ggml.ok()) return ggml.status();
    const auto file = gguf_file::open(ggml.value(), path);
    if (!file.ok()) return file.status();
    const int count = file.value().number("split.count"), number = file.value().number("split.no");
    if (number > 0)
        return status(errc::invalid_argument,
                      format_text("model: '%s' is part %d of %d; give the first part (%s)", path.c_str(), number + 1,
                                  count, ("..." + part_suffix(1, count)).c_str()));
    gguf_model model;
    model.architecture = file.value().text("general.architecture");
    const int n_used = file.value().number((model.architecture + ".expert_used_count").c_str());
    model.n_experts_used = size_t(std::max(1, n_used));
    model.context_trained = size_t(std::max(0, file.value().number((model.architecture + ".context_length").c_str())));
    file.value().append_tensors(model.tensors);
    if (count > 1) {
        if (auto s = append_other_parts(ggml.value(), path, count, model.tensors); !s.ok()) return s;
    }
    if (model.tensors.empty())
        return status(errc::unsupported,
                      "model: '" + path + "' holds no tensors (a vocabulary only?); give a whole model");
    mark_multiplied(model.tensors);
    model.layers = layers_of(model.tensors, hyperparameters_of(file.value(), model.architecture));
    return model;
}

} // namespace rknpu
