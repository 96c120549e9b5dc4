// rknpu-make-outliers in.gguf out.gguf: the same function as a bundled model, with outlier channels (models/README.md).
//
// Invariant: out.gguf is either absent or complete; whatever is wrong with the input is one line on stderr and exit
// code 1.
#include "gguf-file.h"
#include "recipe.h"

#include <cstdio>
#include <stdexcept>

namespace rknpu {
namespace {

const char * const name_suffix = ", outlier channels";

// Multiplies (or divides) channel columns of a [.., n_embd] tensor, in double, rounding once to the tensor's type.
void scale(ggml_tensor * tensor, const outlier_set & set, bool divide) {
    const int64_t n_embd = tensor->ne[0], n_rows = ggml_nelements(tensor) / n_embd;
    for (int64_t row = 0; row < n_rows; row++) {
        for (size_t i = 0; i < set.channels.size(); i++) {
            const double factor = divide ? 1.0 / set.factors[i] : set.factors[i];
            const int64_t at = row * n_embd + set.channels[i];
            if (tensor->type == GGML_TYPE_F32) {
                auto * data = static_cast<float *>(tensor->data);
                data[at] = float(data[at] * factor);
            } else {
                auto * data = static_cast<ggml_fp16_t *>(tensor->data);
                data[at] = ggml_fp32_to_fp16(float(ggml_fp16_to_fp32(data[at]) * factor));
            }
        }
    }
}

ggml_tensor * find(ggml_context * tensors, const std::string & name, int n_embd) {
    ggml_tensor * tensor = ggml_get_tensor(tensors, name.c_str());
    if (!tensor) return nullptr;
    if (tensor->type != GGML_TYPE_F32 && tensor->type != GGML_TYPE_F16) {
        throw std::runtime_error(name + " is " + ggml_type_name(tensor->type) +
                                 "; only F32 and F16 files can be changed");
    }
    if (tensor->ne[0] != n_embd) throw std::runtime_error(name + " has rows of another length than n_embd");
    return tensor;
}

void add_outliers(const gguf_context * gguf, ggml_context * tensors) {
    const std::string arch = string_of(gguf, "general.architecture");
    if (arch != "gemma3" && arch != "gemma4")
        throw std::runtime_error("its architecture is '" + arch + "', not gemma3 or gemma4");
    const std::string name = string_of(gguf, "general.name");
    if (name.find(name_suffix) != std::string::npos) throw std::runtime_error("it already has outlier channels");
    const int n_embd = size_of(gguf, arch + ".embedding_length"), n_layers = size_of(gguf, arch + ".block_count");
    if (n_embd < 8) throw std::runtime_error("its embedding is too short");
    const bool has_experts = ggml_get_tensor(tensors, "blk.0.ffn_gate_inp.weight") != nullptr;
    for (const outlier_set & set : choose_outliers(n_embd, n_layers, has_experts)) {
        ggml_tensor * vector = find(tensors, set.vector, n_embd);
        if (!vector) throw std::runtime_error("it has no tensor " + set.vector);
        scale(vector, set, false);
        int n_found = 0;
        for (const std::string & matrix : set.matrices) {
            ggml_tensor * tensor = find(tensors, matrix, n_embd);
            if (tensor) scale(tensor, set, true);
            n_found += tensor != nullptr;
        }
        if (n_found == 0) throw std::runtime_error("it has none of the matrices fed by " + set.vector);
        std::printf("%s {", set.vector.c_str());
        for (size_t i = 0; i < set.channels.size(); i++) {
            std::printf("%s%d: %.1f", i ? ", " : "", set.channels[i], set.factors[i]);
        }
        std::printf("}\n");
    }
}

void convert(const char * in, const char * out) {
    const gguf_file file = read_gguf(in);
    const gguf_context * gguf = file.meta.get();
    add_outliers(gguf, file.tensors.get());

    gguf_ptr result(gguf_init_empty());
    gguf_set_kv(result.get(), gguf);
    gguf_set_val_str(result.get(), "general.name", (string_of(gguf, "general.name") + name_suffix).c_str());
    for (int64_t i = 0; i < gguf_get_n_tensors(gguf); i++) {
        gguf_add_tensor(result.get(), ggml_get_tensor(file.tensors.get(), gguf_get_tensor_name(gguf, i)));
    }
    write_gguf(result.get(), out);
}

} // namespace
} // namespace rknpu

int main(int argc, char ** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: rknpu-make-outliers in.gguf out.gguf\n");
        return 1;
    }
    return rknpu::run_tool("rknpu-make-outliers", argv[1], [&] { rknpu::convert(argv[1], argv[2]); });
}
