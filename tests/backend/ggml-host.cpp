// See ggml-host.h.
#include "ggml-host.h"

#include "support/fixtures.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace rknpu::test {

static std::string format_rules() {
    std::string rules;
    for (const layer_format & f : layer_formats)
        rules += "blk\\." + std::to_string(f.layer) + "\\.=" + f.name + ",";
    return rules + "w16a16";
}

const host & ggml_host() {
    static const host h = [] {
        const std::string npu_file = testing::TempDir() + "rknpu-backend-npu-" + std::to_string(getpid());
        setenv("RKNN_EMU_NPU", npu_file.c_str(), 1);
        setenv("GGML_RKNPU_RUNTIME", RKNPU_TEST_EMULATOR, 1);
        setenv("GGML_RKNPU_LOCK", "off", 1);
        setenv("GGML_RKNPU_FORMAT", format_rules().c_str(), 0);
        setenv("GGML_RKNPU_STORE", "off", 0);
        setenv("GGML_RKNPU_TIMEOUT_MS", "60000", 1);
        ggml_backend_load(GGML_CPU_LIBRARY);
        ggml_backend_reg_t reg = ggml_backend_load(RKNPU_PLUGIN);
        if (!reg || ggml_backend_reg_dev_count(reg) != 1) abort();
        host made{ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), ggml_backend_reg_dev_get(reg, 0), nullptr};
        const auto extra = ggml_backend_dev_get_extra_bufts_t(
            ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"));
        made.packed = extra(made.npu)[0];
        return made;
    }();
    return h;
}

rknn_emu_stats emulator_stats() {
    void * library = dlopen(RKNPU_TEST_EMULATOR, RTLD_NOW | RTLD_NOLOAD);
    const auto get = reinterpret_cast<int (*)(rknn_emu_stats *)>(dlsym(library, "rknn_emu_get_stats"));
    rknn_emu_stats stats{};
    stats.struct_size = sizeof(stats);
    EXPECT_EQ(get(&stats), 0);
    dlclose(library);
    return stats;
}

tensors::tensors(size_t n_max) {
    context_ = ggml_init({ggml_tensor_overhead() * n_max + ggml_graph_overhead(), nullptr, true});
}

tensors::~tensors() {
    if (buffer_) ggml_backend_buffer_free(buffer_);
    ggml_free(context_);
}

void tensors::allocate(ggml_backend_buffer_type_t type) {
    buffer_ = ggml_backend_alloc_ctx_tensors_from_buft(context_, type);
    ggml_backend_buffer_set_usage(buffer_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
}

void set_values(ggml_tensor * t, const std::vector<float> & values) {
    std::vector<uint8_t> bytes(ggml_nbytes(t));
    if (t->type == GGML_TYPE_F32)
        std::copy_n(reinterpret_cast<const uint8_t *>(values.data()), bytes.size(), bytes.data());
    else {
        const std::vector<float> importance(size_t(t->ne[0]), 1.0f);
        ggml_quantize_chunk(t->type, values.data(), bytes.data(), 0, ggml_nrows(t), t->ne[0], importance.data());
    }
    ggml_backend_tensor_set(t, bytes.data(), 0, bytes.size());
}

std::vector<float> get_values(const ggml_tensor * t) {
    std::vector<float> values(size_t(ggml_nelements(t)));
    ggml_backend_tensor_get(t, values.data(), 0, ggml_nbytes(t));
    return values;
}

twin::twin(const std::vector<weight_spec> & specs, const graph_builder & build, unsigned seed) {
    const host & h = ggml_host();
    for (const bool npu : {false, true}) {
        side & s = sides_[npu];
        s.backend = ggml_backend_dev_init(npu ? h.npu : h.cpu, nullptr);
        s.storage = new tensors;
        for (const weight_spec & w : specs) {
            s.weights.push_back(ggml_new_tensor(s.storage->context(), w.type, 4, w.ne));
            ggml_set_name(s.weights.back(), w.name.c_str());
        }
        s.storage->allocate(npu ? h.packed : ggml_backend_dev_buffer_type(h.cpu));
        std::mt19937 random(seed);
        for (ggml_tensor * w : s.weights)
            set_values(w, normal_values(random, size_t(ggml_nelements(w)), 0.05f));
        s.nodes = new tensors;
        s.graph = ggml_new_graph(s.nodes->context());
        s.result = build(s.nodes->context(), s.weights, s.inputs);
        for (ggml_tensor * i : s.inputs) {
            ggml_set_input(i);
            ggml_set_output(i); // keeps its memory: a repeated run reads it again
            s.input_values.push_back(normal_values(random, size_t(ggml_nelements(i))));
        }
        ggml_set_output(s.result);
        ggml_build_forward_expand(s.graph, s.result);
        s.allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(s.backend));
        if (!ggml_gallocr_alloc_graph(s.allocator, s.graph)) abort();
    }
}

twin::~twin() {
    for (side & s : sides_) {
        ggml_gallocr_free(s.allocator);
        delete s.nodes;
        delete s.storage;
        ggml_backend_free(s.backend);
    }
}

std::vector<float> twin::run(side & s, int n_threads) {
    ggml_backend_dev_t dev = ggml_backend_get_device(s.backend);
    const auto set_threads = ggml_backend_set_n_threads_t(
        ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(dev), "ggml_backend_set_n_threads"));
    set_threads(s.backend, n_threads);
    for (size_t i = 0; i < s.inputs.size(); i++)
        set_values(s.inputs[i], s.input_values[i]);
    EXPECT_EQ(ggml_backend_graph_compute(s.backend, s.graph), GGML_STATUS_SUCCESS);
    return get_values(s.result);
}

double twin_error(twin & t, int n_threads) {
    const auto npu = t.on_npu(n_threads);
    return normalized_error(npu, t.on_cpu(n_threads));
}

} // namespace rknpu::test
