// The plugin as ggml sees it: what it claims, what it refuses, and that graphs give the CPU's results.
#include "ggml-host.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rknpu {
namespace {

using test::ggml_host;
using test::twin;

// The loader's question: may this weight be used in a matmul if it lies in a buffer of that type (a dummy of size 0)?
bool loader_accepts(ggml_type type, int64_t K, int64_t N, int64_t n_matrices, ggml_backend_buffer_type_t buffer_type) {
    test::tensors meta;
    ggml_tensor * w = ggml_new_tensor_3d(meta.context(), type, K, N, n_matrices);
    ggml_set_name(w, "blk.0.ffn_up.weight");
    ggml_tensor * op;
    if (n_matrices == 1) {
        op = ggml_mul_mat(meta.context(), w, ggml_new_tensor_2d(meta.context(), GGML_TYPE_F32, K, 512));
    } else {
        op = ggml_mul_mat_id(meta.context(), w, ggml_new_tensor_3d(meta.context(), GGML_TYPE_F32, K, 4, 512),
                             ggml_new_tensor_2d(meta.context(), GGML_TYPE_I32, 4, 512));
    }
    w->buffer = ggml_backend_buft_alloc_buffer(buffer_type, 0);
    const bool yes = ggml_backend_dev_supports_op(ggml_host().npu, op);
    ggml_backend_buffer_free(w->buffer);
    return yes;
}

TEST(device, is_a_complete_gpu) {
    EXPECT_EQ(ggml_backend_dev_type(ggml_host().npu), GGML_BACKEND_DEVICE_TYPE_GPU);
    EXPECT_STREQ(ggml_backend_dev_name(ggml_host().npu), "RKNPU0");
    EXPECT_NE(std::string(ggml_backend_dev_description(ggml_host().npu)).find("EMULATED"), std::string::npos);
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(ggml_host().npu, &free, &total);
    EXPECT_GT(free, size_t(64) << 20);
    EXPECT_GE(total, free);
    EXPECT_TRUE(ggml_backend_buft_is_host(ggml_backend_dev_buffer_type(ggml_host().npu)));
    EXPECT_FALSE(ggml_backend_buft_is_host(ggml_host().packed));
}

TEST(device, weights_are_steered_into_packed_memory) {
    const auto plain = ggml_backend_dev_buffer_type(ggml_host().npu), packed = ggml_host().packed;
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q4_0, GGML_TYPE_Q8_0}) {
        EXPECT_FALSE(loader_accepts(type, 512, 384, 1, plain));
        EXPECT_TRUE(loader_accepts(type, 512, 384, 1, packed));
    }
    EXPECT_TRUE(loader_accepts(GGML_TYPE_F32, 512, 1, 1, plain)) << "too small for the NPU: stays";
    EXPECT_FALSE(loader_accepts(GGML_TYPE_F16, 256, 128, 16, plain));
    EXPECT_TRUE(loader_accepts(GGML_TYPE_F16, 256, 128, 16, packed)) << "experts";
    EXPECT_TRUE(loader_accepts(GGML_TYPE_F16, 256, 8, 16, plain)) << "experts too small for the NPU: stay";
    EXPECT_FALSE(loader_accepts(GGML_TYPE_F16, 512, 384, 1, plain)) << "the answer does not depend on who asked before";
}

TEST(device, only_whole_weights_in_packed_memory_are_claimed) {
    test::tensors storage, meta;
    ggml_tensor * w = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F16, 512, 384);
    storage.allocate(ggml_host().packed);
    ggml_context * c = meta.context();
    ggml_tensor * x = ggml_new_tensor_2d(c, GGML_TYPE_F32, 512, 3);
    EXPECT_TRUE(ggml_backend_dev_supports_op(ggml_host().npu, ggml_mul_mat(c, w, x)));
    EXPECT_FALSE(
        ggml_backend_dev_supports_op(ggml_host().npu, ggml_mul_mat(c, ggml_view_2d(c, w, 512, 100, w->nb[1], 0), x)));
    EXPECT_FALSE(
        ggml_backend_dev_supports_op(ggml_host().npu, ggml_get_rows(c, w, ggml_new_tensor_1d(c, GGML_TYPE_I32, 4))));
    EXPECT_FALSE(ggml_backend_dev_supports_op(ggml_host().npu, ggml_add(c, w, w)));
    EXPECT_TRUE(ggml_backend_dev_supports_op(ggml_host().npu, ggml_rms_norm(c, x, 1e-6f)));
}

class weight_type : public testing::TestWithParam<ggml_type> {};

TEST_P(weight_type, is_a_source) {
    SCOPED_TRACE(test::seed_line());
    const ggml_type type = GetParam();
    twin t(
        {{"w", type, {512, 96, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 512, 7));
            return ggml_mul_mat(c, w[0], inputs[0]);
        },
        test::seed());
    // The CPU rounds activations to 8 bits for quantized weights; the NPU's f16 does not.
    EXPECT_LT(test::twin_error(t), ggml_is_quantized(type) ? 2e-4 : 1e-5) << ggml_type_name(type);
}

std::vector<ggml_type> source_types() {
    std::vector<ggml_type> types;
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        const auto * traits = ggml_get_type_traits(ggml_type(i));
        const bool multiplies =
            i == GGML_TYPE_F32 || (traits->to_float && traits->blck_size > 0 && 512 % traits->blck_size == 0);
        const bool internal = i == GGML_TYPE_Q8_1 || i == GGML_TYPE_Q8_K; // of activations only
        if (multiplies && !internal) types.push_back(ggml_type(i));
    }
    return types;
}

INSTANTIATE_TEST_SUITE_P(all, weight_type, testing::ValuesIn(source_types()),
                         [](const auto & info) { return std::string(ggml_type_name(info.param)); });

TEST(graph, batch_dimensions_and_permuted_activations) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"w", GGML_TYPE_F16, {128, 96, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_4d(c, GGML_TYPE_F32, 128, 3, 5, 2));
            ggml_tensor * permuted = ggml_permute(c, inputs[0], 0, 2, 1, 3); // [128, 5, 3, 2], rows apart
            return ggml_mul_mat(c, w[0], permuted);
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
}

TEST(graph, shared_activations_and_fusable_norms) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"blk.0.attn_q.weight", GGML_TYPE_F16, {256, 128, 1, 1}},
         {"blk.0.attn_k.weight", GGML_TYPE_F16, {256, 64, 1, 1}},
         {"blk.0.attn_v.weight", GGML_TYPE_F16, {256, 128, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 9));
            inputs.push_back(ggml_new_tensor_1d(c, GGML_TYPE_F32, 256));
            ggml_tensor * x = ggml_mul(c, ggml_rms_norm(c, inputs[0], 1e-6f), inputs[1]);
            ggml_tensor * q = ggml_mul_mat(c, w[0], x);
            ggml_tensor * k = ggml_mul_mat(c, w[1], x);
            ggml_tensor * v = ggml_mul_mat(c, w[2], x);
            return ggml_concat(c, ggml_add(c, q, v), k, 0);
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
}

// q, k and v of few rows are one job on the NPU, whatever llama.cpp does with q before it asks for k; of many rows, or
// with another product in between that uses the same memory, each has jobs of its own.
TEST(graph, products_of_one_activation_are_one_job_where_nothing_comes_between) {
    SCOPED_TRACE(test::seed_line());
    const auto jobs_of = [](int64_t rows, bool between, int layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".attn_";
        twin t(
            {{prefix + "q.weight", GGML_TYPE_F16, {256, 128, 1, 1}},
             {prefix + "k.weight", GGML_TYPE_F16, {256, 64, 1, 1}},
             {prefix + "v.weight", GGML_TYPE_F16, {256, 64, 1, 1}},
             {prefix + "output.weight", GGML_TYPE_F16, {256, 64, 1, 1}}},
            [=](auto * c, auto & w, auto & inputs) {
                inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, rows));
                ggml_tensor * q = ggml_rms_norm(c, ggml_mul_mat(c, w[0], inputs[0]), 1e-6f);
                ggml_tensor * x = between ? ggml_concat(c, q, ggml_mul_mat(c, w[3], inputs[0]), 0) : q;
                ggml_tensor *k = ggml_mul_mat(c, w[1], inputs[0]), *v = ggml_mul_mat(c, w[2], inputs[0]);
                return ggml_concat(c, x, ggml_concat(c, k, v, 0), 0);
            },
            test::seed());
        EXPECT_LT(test::twin_error(t), test::layer_formats[layer].error_below);
        const uint64_t before = test::emulator_stats().runs;
        t.compute_npu();
        return test::emulator_stats().runs - before;
    };
    for (const int layer : {0, 1, 3}) { // w16a16, w8a8, w4a8
        EXPECT_EQ(jobs_of(1, false, layer), 1u);
        EXPECT_EQ(jobs_of(8, false, layer), 1u);
        EXPECT_EQ(jobs_of(1, true, layer), 4u);
        EXPECT_EQ(jobs_of(60, false, layer), 3u);
    }
}

TEST(graph, an_activation_that_changes_in_place_is_quantized_again) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"blk.0.attn_q.weight", GGML_TYPE_F16, {256, 64, 1, 1}},
         {"blk.0.attn_k.weight", GGML_TYPE_F16, {256, 64, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 4));
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 4));
            ggml_tensor * q = ggml_mul_mat(c, w[0], inputs[0]);
            // Written through a view after q has read it: the sum makes the order certain.
            ggml_tensor * changed =
                ggml_cpy(c, ggml_add(c, inputs[1], ggml_repeat(c, ggml_sum(c, q), inputs[1])), inputs[0]);
            ggml_tensor * zero = ggml_scale(c, ggml_sum(c, changed), 0.0f);
            ggml_tensor * k = ggml_mul_mat(c, w[1], inputs[0]);
            // In this order: ggml visits the operands from left to right.
            return ggml_add(c, ggml_add(c, q, ggml_repeat(c, zero, q)), k);
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
}

// ggml's flag: the first product, with whose node the activation is quantized, is not asked for.
TEST(graph, an_activation_is_quantized_for_the_second_product_alone) {
    SCOPED_TRACE(test::seed_line());
    ggml_tensor *q = nullptr, *k = nullptr;
    twin t(
        {{"blk.0.attn_q.weight", GGML_TYPE_F16, {256, 64, 1, 1}},
         {"blk.0.attn_k.weight", GGML_TYPE_F16, {256, 64, 1, 1}}},
        [&](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 4));
            q = ggml_mul_mat(c, w[0], inputs[0]);
            k = ggml_mul_mat(c, w[1], inputs[0]);
            return ggml_concat(c, q, k, 0);
        },
        test::seed());
    t.on_npu();
    const auto right = test::get_values(k);
    t.set_input(0, 0, 40.0f);
    q->flags &= ~GGML_TENSOR_FLAG_COMPUTE;
    t.on_npu();
    const auto alone = test::get_values(k);
    EXPECT_NE(alone, right);
    q->flags |= GGML_TENSOR_FLAG_COMPUTE;
    t.on_npu();
    EXPECT_EQ(test::get_values(k), alone);
}

TEST(graph, more_threads_than_before) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"w", GGML_TYPE_F16, {512, 384, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 512, 40));
            return ggml_mul_mat(c, w[0], inputs[0]);
        },
        test::seed());
    for (const int n_threads : {1, 2, 7, 3})
        EXPECT_LT(test::twin_error(t, n_threads), 1e-5) << n_threads;
}

TEST(graph, tensors_the_npu_cannot_take_work_in_packed_memory_too) {
    SCOPED_TRACE(test::seed_line());
    // As a LoRA adapter's, which lie where their base weight lies.
    twin t(
        {{"a", GGML_TYPE_F16, {256, 8, 1, 1}}, {"b", GGML_TYPE_F32, {8, 128, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 5));
            return ggml_mul_mat(c, w[1], ggml_mul_mat(c, w[0], inputs[0]));
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
}

TEST(device, expert_products_on_a_packed_matrix_are_not_claimed) {
    test::tensors storage, meta;
    ggml_tensor * w = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F16, 512, 384);
    storage.allocate(ggml_host().packed);
    ggml_context * c = meta.context();
    ggml_tensor * op = ggml_mul_mat_id(c, w, ggml_new_tensor_3d(c, GGML_TYPE_F32, 512, 1, 3),
                                       ggml_new_tensor_2d(c, GGML_TYPE_I32, 1, 3));
    EXPECT_FALSE(ggml_backend_dev_supports_op(ggml_host().npu, op));
}

ggml_tensor * experts_layer(ggml_context * c, const std::vector<ggml_tensor *> & w, std::vector<ggml_tensor *> & inputs,
                            int64_t n_tokens, int n_used) {
    inputs.push_back(ggml_new_tensor_3d(c, GGML_TYPE_F32, 128, 1, n_tokens));
    inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, w[0]->ne[2], n_tokens));
    ggml_tensor * ids = ggml_argsort_top_k(c, inputs[1], n_used); // a view, rows apart
    ggml_tensor * gate = ggml_mul_mat_id(c, w[0], inputs[0], ids);
    ggml_tensor * up = ggml_mul_mat_id(c, w[1], inputs[0], ids);
    return ggml_mul_mat_id(c, w[2], ggml_swiglu_split(c, gate, up), ids);
}

class experts_graph : public testing::TestWithParam<std::tuple<int, int, ggml_type>> {};

TEST_P(experts_graph, equals_the_cpus) {
    SCOPED_TRACE(test::seed_line());
    const auto [n_tokens, n_used, type] = GetParam();
    twin t(
        {{"blk.0.ffn_gate_exps.weight", type, {128, 96, 8, 1}},
         {"blk.0.ffn_up_exps.weight", type, {128, 96, 8, 1}},
         {"blk.0.ffn_down_exps.weight", type, {96, 128, 8, 1}}},
        [n = n_tokens, used = n_used](auto * c, auto & w, auto & inputs) {
            return experts_layer(c, w, inputs, n, used);
        },
        test::seed());
    const uint64_t runs = test::emulator_stats().runs;
    // The CPU rounds activations to 8 bits for quantized weights; the NPU's f16 does not.
    for (const int n_threads : {1, 3})
        EXPECT_LT(test::twin_error(t, n_threads), type == GGML_TYPE_F16 ? 1e-5 : 4e-4);
    EXPECT_GE(test::emulator_stats().runs - runs, uint64_t(2 * 3 * n_used)) << "each active expert, three times";
    // gate and up read one quantized activation, down another.
    const uint64_t syncs = test::emulator_stats().syncs_to_device;
    t.compute_npu();
    EXPECT_LE(test::emulator_stats().syncs_to_device - syncs, n_tokens < 40 ? 4u : 8u);
}

INSTANTIATE_TEST_SUITE_P(shapes, experts_graph,
                         testing::Combine(testing::Values(1, 2, 17, 200), testing::Values(1, 3, 8),
                                          testing::Values(GGML_TYPE_F16, GGML_TYPE_Q8_0)));

// Both kinds of stages use the same staging memory: the second product must not read what the experts left there.
TEST(graph, an_activation_is_quantized_again_after_experts_in_between) {
    test::twin t(
        {{"blk.0.ffn_gate.weight", GGML_TYPE_F16, {256, 128, 1, 1}},
         {"blk.0.ffn_gate_up_exps.weight", GGML_TYPE_F16, {256, 128, 8, 1}},
         {"blk.0.ffn_up.weight", GGML_TYPE_F16, {256, 128, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            ggml_tensor * x = ggml_new_tensor_3d(c, GGML_TYPE_F32, 256, 1, 20);
            ggml_tensor * scores = ggml_new_tensor_2d(c, GGML_TYPE_F32, 8, 20);
            inputs = {x, scores};
            ggml_tensor * gate = ggml_mul_mat(c, w[0], x);
            ggml_tensor * chosen = ggml_mul_mat_id(c, w[1], x, ggml_argsort_top_k(c, scores, 2));
            ggml_tensor * mixed = ggml_add(c, ggml_sum_rows(c, chosen), ggml_sum_rows(c, gate));
            return ggml_mul(c, ggml_mul_mat(c, w[2], x),
                            ggml_sum_rows(c, ggml_cont(c, ggml_permute(c, mixed, 1, 0, 2, 3))));
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-3);
}

TEST(graph, a_stack_can_be_read_back_and_is_not_claimed_for_plain_products) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    test::tensors storage, plain, meta;
    ggml_tensor * w = ggml_new_tensor_3d(storage.context(), GGML_TYPE_F16, 64, 70, 5);
    ggml_tensor * p = ggml_new_tensor_3d(plain.context(), GGML_TYPE_F16, 64, 70, 5);
    storage.allocate(ggml_host().packed);
    plain.allocate(ggml_backend_dev_buffer_type(ggml_host().cpu));
    test::set_values(p, test::normal_values(random, 64 * 70 * 5));
    std::vector<uint8_t> source(ggml_nbytes(p)), back(ggml_nbytes(p));
    ggml_backend_tensor_get(p, source.data(), 0, source.size());
    ggml_backend_tensor_set(w, source.data(), 0, 5000); // in pieces
    ggml_backend_tensor_set(w, source.data() + 5000, 5000, source.size() - 5000);
    ggml_backend_tensor_get(w, back.data(), 0, back.size());
    EXPECT_EQ(back, source);                                                // f16 holds it exactly
    std::fill_n(source.begin() + long(3 * w->nb[2]), w->nb[1], uint8_t(0)); // the first row of the fourth expert
    ggml_backend_tensor_memset(w, 0, 3 * w->nb[2], w->nb[1]);
    ggml_backend_tensor_get(w, back.data(), 0, back.size());
    EXPECT_EQ(back, source);
    ggml_context * c = meta.context();
    const auto claims = [&](ggml_tensor * op) { return ggml_backend_dev_supports_op(ggml_host().npu, op); };
    EXPECT_FALSE(claims(ggml_mul_mat(c, w, ggml_new_tensor_3d(c, GGML_TYPE_F32, 64, 2, 5))));
    EXPECT_TRUE(claims(ggml_mul_mat_id(c, w, ggml_new_tensor_3d(c, GGML_TYPE_F32, 64, 1, 3),
                                       ggml_new_tensor_2d(c, GGML_TYPE_I32, 2, 3))));
}

// The CPU's results, also where the activation is not finite.
void expect_alike(twin & t) {
    const auto npu = t.on_npu(), cpu = t.on_cpu();
    size_t n_infinite = 0, n_nan = 0;
    for (size_t i = 0; i < cpu.size(); i++) {
        n_infinite += std::isinf(cpu[i]);
        n_nan += std::isnan(cpu[i]);
        const bool alike = std::isnan(cpu[i])   ? std::isnan(npu[i])
                           : std::isinf(cpu[i]) ? npu[i] == cpu[i]
                                                : std::fabs(npu[i] - cpu[i]) < 2e-2;
        ASSERT_TRUE(alike) << i << ": " << npu[i] << ", not " << cpu[i];
    }
    EXPECT_GT(n_infinite, 0u);
    EXPECT_GT(n_nan, 0u);
    EXPECT_LT(n_infinite + n_nan, cpu.size());
}

TEST(graph, activations_that_are_not_finite_give_the_cpus_results) {
    SCOPED_TRACE(test::seed_line());
    constexpr float inf = std::numeric_limits<float>::infinity();
    for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32}) {
        twin t(
            {{"w", type, {128, 96, 1, 1}}},
            [](auto * c, auto & w, auto & inputs) {
                inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 128, 20));
                return ggml_mul_mat(c, w[0], inputs[0]);
            },
            test::seed());
        t.set_input(0, 128 * 1 + 3, std::nanf(""));
        t.set_input(0, 128 * 2 + 5, inf);
        t.set_input(0, 128 * 19 + 100, -inf);
        t.set_input(0, 128 * 7, inf), t.set_input(0, 128 * 7 + 1, -inf);
        expect_alike(t);
    }
    twin experts(
        {{"blk.0.ffn_up_exps.weight", GGML_TYPE_F16, {128, 96, 8, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_3d(c, GGML_TYPE_F32, 128, 1, 20));
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 8, 20));
            return ggml_mul_mat_id(c, w[0], inputs[0], ggml_argsort_top_k(c, inputs[1], 2));
        },
        test::seed());
    experts.set_input(0, 128 * 1 + 3, std::nanf(""));
    experts.set_input(0, 128 * 2 + 5, inf);
    experts.set_input(0, 128 * 19 + 100, -inf);
    expect_alike(experts);
}

TEST(graph, an_activation_is_quantized_once_for_all_its_weights) {
    SCOPED_TRACE(test::seed_line());
    const auto syncs_of = [](const char * second_name) {
        twin t(
            {{"blk.0.attn_q.weight", GGML_TYPE_F16, {256, 64, 1, 1}}, {second_name, GGML_TYPE_F16, {256, 96, 1, 1}}},
            [](auto * c, auto & w, auto & inputs) {
                inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 3));
                return ggml_concat(c, ggml_mul_mat(c, w[0], inputs[0]), ggml_mul_mat(c, w[1], inputs[0]), 0);
            },
            test::seed());
        t.on_npu();
        const uint64_t before = test::emulator_stats().syncs_to_device;
        t.compute_npu();
        return test::emulator_stats().syncs_to_device - before;
    };
    EXPECT_EQ(syncs_of("blk.0.attn_k.weight"), 1u);
}

TEST(graph, an_aborted_computation_leaves_no_trace) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        {{"a", GGML_TYPE_F16, {256, 256, 1, 1}}, {"b", GGML_TYPE_F16, {256, 64, 1, 1}}},
        [](auto * c, auto & w, auto & inputs) {
            inputs.push_back(ggml_new_tensor_2d(c, GGML_TYPE_F32, 256, 40));
            return ggml_mul_mat(c, w[1], ggml_mul_mat(c, w[0], inputs[0]));
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
    const auto reg = ggml_backend_dev_backend_reg(ggml_host().npu);
    const auto set =
        ggml_backend_set_abort_callback_t(ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_abort_callback"));
    for (int after = 0; after < 5; after++) {
        static int left;
        left = after;
        set(
            t.npu_backend(), [](void *) { return left-- <= 0; }, nullptr);
        ggml_backend_graph_compute(t.npu_backend(), t.npu_graph());
        set(t.npu_backend(), nullptr, nullptr);
        EXPECT_LT(test::twin_error(t), 1e-5) << after;
    }
}

TEST(graph, a_weight_that_was_never_loaded_is_an_error_not_a_crash) {
    test::tensors storage, nodes;
    ggml_tensor * w = ggml_new_tensor_2d(storage.context(), GGML_TYPE_F16, 512, 64);
    storage.allocate(ggml_host().packed);
    ggml_tensor * x = ggml_new_tensor_2d(nodes.context(), GGML_TYPE_F32, 512, 1);
    ggml_set_input(x);
    ggml_cgraph * graph = ggml_new_graph(nodes.context());
    ggml_build_forward_expand(graph, ggml_mul_mat(nodes.context(), w, x));
    ggml_backend_t backend = ggml_backend_dev_init(ggml_host().npu, nullptr);
    ggml_gallocr_t allocator = ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend));
    ASSERT_TRUE(ggml_gallocr_alloc_graph(allocator, graph));
    EXPECT_EQ(ggml_backend_graph_compute(backend, graph), GGML_STATUS_FAILED);
    ggml_gallocr_free(allocator);
    ggml_backend_free(backend);
}

} // namespace
} // namespace rknpu
