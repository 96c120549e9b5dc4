// A small host program around ggml: loads the CPU backend and the plugin, builds one-graph models.
//
// Invariant: the environment of the plugin (formats by layer or what GGML_RKNPU_FORMAT says, no lock, an emulated NPU
// of its own) is set before the library is loaded; it is loaded once per program.
#pragma once

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "rknn-emu.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rknpu::test {

// Weights of layer `layer` have the format `name`, all others w16a16. What two products in a row of normally
// distributed weights are off by, as a squared relative error, lies in [error_from, error_below): it tells them apart.
struct layer_format {
    const char * name;
    int layer;
    double error_from, error_below;
};
constexpr layer_format layer_formats[] = {{"w16a16", 0, 0, 1e-5},
                                          {"w8a8", 1, 2e-5, 2e-3},
                                          {"w8a16", 2, 2e-5, 2e-3},
                                          {"w4a8", 3, 5e-3, 0.1},
                                          {"w4a4", 4, 1e-2, 0.2}};

struct host {
    ggml_backend_dev_t cpu, npu;
    ggml_backend_buffer_type_t packed; // the NPU device's extra buffer type
};
const host & ggml_host();
rknn_emu_stats emulator_stats();

// Tensors of one buffer type.
class tensors {
public:
    explicit tensors(size_t n_max = 64);
    ~tensors();
    ggml_context * context() const { return context_; }
    void allocate(ggml_backend_buffer_type_t type);

private:
    ggml_context * context_;
    ggml_backend_buffer_t buffer_ = nullptr;
};

// Writes f32 values into a tensor of any type that can be quantized without statistics.
void set_values(ggml_tensor * t, const std::vector<float> & values);
std::vector<float> get_values(const ggml_tensor * t); // of a contiguous f32 tensor

// A graph over weights that exists twice: with the weights in packed memory on the NPU, and in plain memory on the CPU.
// build is called with a context and the weights, in the order of their facts; it returns the result, and gives its
// inputs values by way of `inputs` (filled once, equal on both sides).
struct weight_spec {
    std::string name;
    ggml_type type;
    int64_t ne[4];
};
using graph_builder = std::function<ggml_tensor *(ggml_context *, const std::vector<ggml_tensor *> & weights,
                                                  std::vector<ggml_tensor *> & inputs)>;

class twin {
public:
    twin(const std::vector<weight_spec> & weights, const graph_builder & build, unsigned seed);
    ~twin();
    std::vector<float> on_npu(int n_threads = 2) { return run(sides_[1], n_threads); }
    std::vector<float> on_cpu(int n_threads = 2) { return run(sides_[0], n_threads); }
    // Puts a value into an input, on both sides.
    void set_input(size_t input, size_t at, float value) {
        for (side & s : sides_)
            s.input_values[input][at] = value;
    }
    ggml_tensor * npu_weight(size_t i) const { return sides_[1].weights[i]; }
    ggml_tensor * cpu_weight(size_t i) const { return sides_[0].weights[i]; }
    // Computes without reading the result.
    void compute_npu() const { ggml_backend_graph_compute(sides_[1].backend, sides_[1].graph); }
    void compute_cpu() const { ggml_backend_graph_compute(sides_[0].backend, sides_[0].graph); }
    ggml_cgraph * npu_graph() const { return sides_[1].graph; }
    ggml_backend_t npu_backend() const { return sides_[1].backend; }

private:
    struct side {
        ggml_backend_t backend;
        tensors * storage;
        std::vector<ggml_tensor *> weights, inputs;
        tensors * nodes;
        ggml_gallocr_t allocator;
        ggml_cgraph * graph;
        ggml_tensor * result;
        std::vector<std::vector<float>> input_values;
    };
    std::vector<float> run(side & s, int n_threads);
    side sides_[2];
};

// The squared relative error of the NPU's result against the CPU's.
double twin_error(twin & t, int n_threads = 2);

} // namespace rknpu::test
