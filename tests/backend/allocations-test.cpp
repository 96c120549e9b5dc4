// From the third computation on, a graph costs no allocation beyond the CPU backend's own, and no new runtime object.
#include "ggml-host.h"
#include "malloc-count.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace rknpu {
namespace {

struct feed_forward {
    int64_t M, n_embd, n_hidden;
    const test::layer_format * format;
};

std::string layer(const feed_forward & shape, const char * name) {
    return "blk." + std::to_string(shape.format->layer) + "." + name;
}

ggml_tensor * two_layers(ggml_context * c, const std::vector<ggml_tensor *> & w, std::vector<ggml_tensor *> & inputs,
                         const feed_forward & shape) {
    ggml_tensor * x = ggml_new_tensor_2d(c, GGML_TYPE_F32, shape.n_embd, shape.M);
    inputs.push_back(x);
    ggml_tensor * hidden = ggml_mul(c, ggml_silu(c, ggml_mul_mat(c, w[0], x)), ggml_mul_mat(c, w[1], x));
    return ggml_mul_mat(c, w[2], hidden);
}

ggml_tensor * experts(ggml_context * c, const std::vector<ggml_tensor *> & w, std::vector<ggml_tensor *> & inputs,
                      int64_t M) {
    ggml_tensor * x = ggml_new_tensor_3d(c, GGML_TYPE_F32, 256, 1, M);
    ggml_tensor * scores = ggml_new_tensor_2d(c, GGML_TYPE_F32, w[0]->ne[2], M);
    inputs.push_back(x);
    inputs.push_back(scores);
    ggml_tensor * ids = ggml_argsort_top_k(c, scores, 4);
    ggml_tensor * hidden = ggml_swiglu_split(c, ggml_mul_mat_id(c, w[0], x, ids), ggml_mul_mat_id(c, w[1], x, ids));
    return ggml_mul_mat_id(c, w[2], hidden, ids);
}

uint64_t runtime_objects() {
    return test::emulator_stats().objects_created;
}

// The graph has no uid here, so it is mirrored anew each time: the harder case. llama.cpp reuses graphs between tokens.
class allocations : public testing::TestWithParam<feed_forward> {};

void expect_none_from_the_third_computation_on(test::twin & t, const test::layer_format & format) {
    const uint64_t runs = test::emulator_stats().runs;
    const double error = test::twin_error(t);
    EXPECT_GT(test::emulator_stats().runs, runs) << "not on the NPU";
    EXPECT_LT(error, format.error_below);
    EXPECT_GE(error, format.error_from) << "another format than the test means";
    t.compute_npu();
    t.compute_cpu();
    const uint64_t objects = runtime_objects();
    const auto count = [](const std::function<void()> & body) {
        return test::allocations_outside(RKNPU_TEST_EMULATOR, body);
    };
    const size_t of_cpu = count([&] { t.compute_cpu(); });
    for (int i = 0; i < 5; i++)
        EXPECT_LE(count([&] { t.compute_npu(); }), of_cpu);
    EXPECT_EQ(runtime_objects(), objects);
#if !RKNPU_SANITIZED
    EXPECT_EQ(count([] {
                  void * volatile p = std::malloc(10);
                  std::free(p);
              }),
              1u)
        << "the counter is not in place";
#endif
}

TEST_P(allocations, none_from_the_third_computation_on) {
    const feed_forward shape = GetParam();
    test::twin t(
        {{layer(shape, "ffn_gate.weight"), GGML_TYPE_F16, {shape.n_embd, shape.n_hidden, 1, 1}},
         {layer(shape, "ffn_up.weight"), GGML_TYPE_F16, {shape.n_embd, shape.n_hidden, 1, 1}},
         {layer(shape, "ffn_down.weight"), GGML_TYPE_F16, {shape.n_hidden, shape.n_embd, 1, 1}}},
        [shape](auto * c, auto & w, auto & inputs) { return two_layers(c, w, inputs, shape); }, test::seed());
    expect_none_from_the_third_computation_on(t, *shape.format);
}

TEST_P(allocations, none_for_experts_either) {
    const feed_forward shape = GetParam();
    test::twin t(
        {{layer(shape, "ffn_gate_exps.weight"), GGML_TYPE_F16, {256, 128, 16, 1}},
         {layer(shape, "ffn_up_exps.weight"), GGML_TYPE_F16, {256, 128, 16, 1}},
         {layer(shape, "ffn_down_exps.weight"), GGML_TYPE_F16, {128, 256, 16, 1}}},
        [shape](auto * c, auto & w, auto & inputs) { return experts(c, w, inputs, shape.M); }, test::seed());
    expect_none_from_the_third_computation_on(t, *shape.format);
}

// Many rows take small matrices: what they add is jobs in several chunks, and qemu multiplies slowly.
std::vector<feed_forward> every_format() {
    std::vector<feed_forward> cases;
    for (const test::layer_format & format : test::layer_formats)
        for (const feed_forward & shape : {feed_forward{1, 512, 1536, &format}, feed_forward{5, 512, 1536, &format},
                                           feed_forward{600, 128, 384, &format}})
            cases.push_back(shape);
    return cases;
}
INSTANTIATE_TEST_SUITE_P(rows, allocations, testing::ValuesIn(every_format()), [](const auto & info) {
    return std::string(info.param.format->name) + "_m" + std::to_string(info.param.M);
});

} // namespace
} // namespace rknpu
