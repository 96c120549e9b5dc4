// rknpu-repeat-layers in.gguf out.gguf n_layers: a deeper model whose layer i is layer i modulo the original's depth.
// It writes no sense; what it is for is a cost per token that can be compared between depths (scripts/host-cost.sh).
//
// Invariant: out.gguf is either absent or complete; whatever is wrong with the input is one line on stderr and exit
// code 1.
#include "gguf-file.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace rknpu {
namespace {

constexpr int max_layers = 512; // llama.cpp's own limit

size_t element_size(gguf_type type) {
    switch (type) {
    case GGUF_TYPE_BOOL:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_UINT8:
        return 1;
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_FLOAT32:
        return 4;
    default:
        return 0;
    }
}

// Lists with one entry per layer: which layers have a window, how many heads there are.
void repeat_lists(const gguf_context * gguf, gguf_context * result, const std::string & arch, int n_old, int n_new) {
    for (int64_t id = 0; id < gguf_get_n_kv(gguf); id++) {
        const std::string key = gguf_get_key(gguf, id);
        if (key.rfind(arch + ".", 0) != 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_ARRAY) continue;
        if (gguf_get_arr_n(gguf, id) != size_t(n_old)) throw std::runtime_error(key + " is not a list of all layers");
        const gguf_type type = gguf_get_arr_type(gguf, id);
        const size_t size = element_size(type);
        if (size == 0) throw std::runtime_error(key + " is a list of a type that cannot be repeated");
        const auto * old = static_cast<const uint8_t *>(gguf_get_arr_data(gguf, id));
        std::vector<uint8_t> repeated;
        for (int i = 0; i < n_new; i++)
            repeated.insert(repeated.end(), old + size * size_t(i % n_old), old + size * size_t(i % n_old + 1));
        gguf_set_arr_data(result, key.c_str(), type, repeated.data(), size_t(n_new));
    }
}

// The tensor again under another name; meta holds no data of its own.
ggml_tensor * renamed(ggml_context * meta, ggml_tensor * tensor, const std::string & name) {
    ggml_tensor * copy = ggml_dup_tensor(meta, tensor);
    copy->data = tensor->data;
    ggml_set_name(copy, name.c_str());
    return copy;
}

void convert(const char * in, const char * out, int n_layers) {
    const gguf_file file = read_gguf(in);
    const std::string arch = string_of(file.meta.get(), "general.architecture");
    const std::string count_key = arch + ".block_count";
    const int n_old = size_of(file.meta.get(), count_key);
    if (n_old < 1) throw std::runtime_error("it has no layers");

    const gguf_ptr result(gguf_init_empty());
    gguf_set_kv(result.get(), file.meta.get());
    gguf_set_val_u32(result.get(), count_key.c_str(), uint32_t(n_layers));
    repeat_lists(file.meta.get(), result.get(), arch, n_old, n_layers);

    const int64_t n_tensors = gguf_get_n_tensors(file.meta.get());
    const size_t n_most = size_t(n_tensors) * size_t(n_layers + 1);
    const ggml_ptr meta(ggml_init({n_most * ggml_tensor_overhead(), nullptr, /*no_alloc=*/true}));
    for (int64_t i = 0; i < n_tensors; i++) {
        ggml_tensor * tensor = ggml_get_tensor(file.tensors.get(), gguf_get_tensor_name(file.meta.get(), i));
        int layer = -1, length = 0;
        std::sscanf(tensor->name, "blk.%d.%n", &layer, &length);
        if (length == 0) {
            gguf_add_tensor(result.get(), tensor);
            continue;
        }
        for (int at = layer; at < n_layers; at += n_old) {
            const std::string name = "blk." + std::to_string(at) + "." + (tensor->name + length);
            gguf_add_tensor(result.get(), renamed(meta.get(), tensor, name));
        }
    }
    write_gguf(result.get(), out);
}

} // namespace
} // namespace rknpu

int main(int argc, char ** argv) {
    const int n_layers = argc == 4 ? std::atoi(argv[3]) : 0;
    if (n_layers < 1 || n_layers > rknpu::max_layers) {
        std::fprintf(stderr, "usage: rknpu-repeat-layers in.gguf out.gguf n_layers (1 to %d)\n", rknpu::max_layers);
        return 1;
    }
    return rknpu::run_tool("rknpu-repeat-layers", argv[1], [&] { rknpu::convert(argv[1], argv[2], n_layers); });
}
