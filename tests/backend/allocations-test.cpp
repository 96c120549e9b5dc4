// From the third computation on, a graph costs no allocation beyond the CPU backend's own, and no new runtime object.
#include "ggml-host.h"
#include "malloc-count.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace rknpu {
namespace {

ggml_tensor * two_layers(ggml_context * c, const std::vector<ggml_tensor *> & w, std::vector<ggml_tensor *> & inputs,
                         int64_t M) {
    ggml_tensor * x = ggml_new_tensor_2d(c, GGML_TYPE_F32, 512, M);
    inputs.push_back(x);
    ggml_tensor * hidden = ggml_mul(c, ggml_silu(c, ggml_mul_mat(c, w[0], x)), ggml_mul_mat(c, w[1], x));
    return ggml_mul_mat(c, w[2], hidden);
}

uint64_t runtime_objects() {
    return test::emulator_stats().objects_created;
}

// The graph has no uid here, so it is mirrored anew each time: the harder case. llama.cpp reuses graphs between tokens.
class allocations : public testing::TestWithParam<int64_t> {};

TEST_P(allocations, none_from_the_third_computation_on) {
    const int64_t M = GetParam();
    test::twin t(
        {{"blk.0.ffn_gate.weight", GGML_TYPE_F16, {512, 1536, 1, 1}},
         {"blk.0.ffn_up.weight", GGML_TYPE_F16, {512, 1536, 1, 1}},
         {"blk.0.ffn_down.weight", GGML_TYPE_F16, {1536, 512, 1, 1}}},
        [M](auto * c, auto & w, auto & inputs) { return two_layers(c, w, inputs, M); }, test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
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

INSTANTIATE_TEST_SUITE_P(rows, allocations, testing::Values(1, 5, 600),
                         [](const auto & info) { return "m" + std::to_string(info.param); });

} // namespace
} // namespace rknpu
