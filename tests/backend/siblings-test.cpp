// Gate and up of experts as the mirror sees them: one list of jobs where nothing in the graph speaks against it.
#include "ggml-host.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace rknpu {
namespace {

using test::ggml_host;
using test::twin;

constexpr int n_experts = 16, n_used = 4, K = 128, N = 96;

// The jobs of each core in one computation, the busiest core first. Four experts are active.
using core_jobs = std::array<uint64_t, RKNN_EMU_CORES>;
constexpr core_jobs together = {3, 3, 2}, apart = {4, 2, 2}, one_stack = {2, 1, 1};

core_jobs jobs_of(const twin & t) {
    const auto before = test::emulator_stats();
    t.compute_npu();
    const auto after = test::emulator_stats();
    core_jobs jobs;
    for (size_t core = 0; core < jobs.size(); core++)
        jobs[core] = after.runs_of_core[core] - before.runs_of_core[core];
    std::sort(jobs.rbegin(), jobs.rend());
    return jobs;
}

std::vector<test::weight_spec> gate_and_up(int layer = 0, int64_t n_up = N) {
    const std::string prefix = "blk." + std::to_string(layer) + ".ffn_";
    return {{prefix + "gate_exps.weight", GGML_TYPE_F16, {K, N, n_experts, 1}},
            {prefix + "up_exps.weight", GGML_TYPE_F16, {K, n_up, n_experts, 1}}};
}

// What a graph is made of: the inputs that every test has, and the experts chosen.
struct parts {
    ggml_context * c;
    std::vector<ggml_tensor *> & inputs;
    ggml_tensor *activation, *ids;

    parts(ggml_context * c, std::vector<ggml_tensor *> & inputs, int64_t n_tokens = 1) : c(c), inputs(inputs) {
        activation = input(K, 1, n_tokens);
        ids = ggml_argsort_top_k(c, input(n_experts, n_tokens), n_used);
    }
    ggml_tensor * input(int64_t a, int64_t b = 1, int64_t d = 1) {
        inputs.push_back(ggml_new_tensor_3d(c, GGML_TYPE_F32, a, b, d));
        return inputs.back();
    }
    ggml_tensor * product(ggml_tensor * w) { return ggml_mul_mat_id(c, w, activation, ids); }
    // Of a tensor, something small that all of it goes into.
    ggml_tensor * sum_of(ggml_tensor * t) { return ggml_scale(c, ggml_sum(c, t), 1e-3f); }
};

TEST(siblings, are_one_list_whatever_happens_to_the_first_output) {
    SCOPED_TRACE(test::seed_line());
    using change = std::function<ggml_tensor *(parts &, ggml_tensor * gate)>;
    const change changes[] = {
        [](parts &, ggml_tensor * gate) { return gate; },
        [](parts & p, ggml_tensor * gate) { return ggml_add_id(p.c, gate, p.input(N, n_experts), p.ids); }, // gpt-oss
        [](parts & p, ggml_tensor * gate) { return ggml_clamp(p.c, ggml_silu(p.c, gate), -1, 1); },
    };
    for (const change & changed : changes) {
        for (const auto & format : test::layer_formats) {
            twin t(
                gate_and_up(format.layer),
                [&](auto * c, auto & w, auto & inputs) {
                    parts p(c, inputs);
                    ggml_tensor * gate = changed(p, p.product(w[0]));
                    return ggml_mul(c, gate, p.product(w[1]));
                },
                test::seed());
            for (const int n_threads : {1, 3})
                EXPECT_LT(test::twin_error(t, n_threads), format.error_below) << format.name;
            EXPECT_EQ(jobs_of(t), together) << format.name;
        }
    }
}

TEST(siblings, are_one_list_beside_other_products) {
    SCOPED_TRACE(test::seed_line());
    auto weights = gate_and_up();
    weights.push_back({"blk.0.ffn_gate.weight", GGML_TYPE_F16, {256, N, 1, 1}});
    twin t(
        weights,
        [&](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs);
            // Uses the staging memory between the two; it is needed later too, so the second output does not get its.
            ggml_tensor * other = ggml_mul_mat(c, w[2], p.input(256));
            ggml_tensor * gate = ggml_add(c, p.product(w[0]), other);
            return ggml_add(c, ggml_swiglu_split(c, gate, p.product(w[1])), other);
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), 1e-5);
    const core_jobs jobs = jobs_of(t);
    EXPECT_EQ(jobs[0] + jobs[1] + jobs[2], 9u);
    EXPECT_LE(jobs[0], 4u);
}

TEST(siblings, of_many_rows_read_one_staging) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        gate_and_up(1),
        [&](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs, 70);
            return ggml_swiglu_split(c, p.product(w[0]), p.product(w[1]));
        },
        test::seed());
    EXPECT_LT(test::twin_error(t), test::layer_formats[1].error_below);
    // One activation, quantized once: its small and its large staging.
    const uint64_t syncs = test::emulator_stats().syncs_to_device;
    t.compute_npu();
    EXPECT_LE(test::emulator_stats().syncs_to_device - syncs, 4u);
}

bool overlap(const ggml_tensor * a, const ggml_tensor * b) {
    const auto *a0 = static_cast<const char *>(a->data), *b0 = static_cast<const char *>(b->data);
    return a0 < b0 + ggml_nbytes(b) && b0 < a0 + ggml_nbytes(a);
}

// ggml gives the second output memory that was another tensor's before: one that is written between the two products,
// or was written before and is read between them.
TEST(siblings, are_apart_where_the_second_outputs_memory_is_in_use_in_between) {
    SCOPED_TRACE(test::seed_line());
    for (const bool is_only_read : {false, true}) {
        ggml_tensor *other = nullptr, *up = nullptr;
        twin t(
            gate_and_up(),
            [&](auto * c, auto & w, auto & inputs) {
                parts p(c, inputs);
                other = ggml_scale(c, p.input(N, n_used), 2);
                if (is_only_read) p.activation = ggml_add(c, p.activation, p.sum_of(other));
                ggml_tensor * gate = ggml_add(c, p.product(w[0]), p.sum_of(other));
                up = p.product(w[1]);
                return ggml_swiglu_split(c, gate, up);
            },
            test::seed());
        ASSERT_TRUE(overlap(other, up)) << "the test needs another graph";
        EXPECT_LT(test::twin_error(t), 1e-5) << is_only_read;
        EXPECT_EQ(jobs_of(t), apart) << is_only_read;
    }
}

// Of a graph's nodes before one, whether any is in its memory.
bool has_own_memory(ggml_cgraph * graph, const ggml_tensor * node) {
    for (int i = 0; ggml_graph_node(graph, i) != node; i++) {
        if (overlap(ggml_graph_node(graph, i), node)) return false;
    }
    return true;
}

TEST(siblings, are_apart_where_the_activation_changes_in_between) {
    SCOPED_TRACE(test::seed_line());
    ggml_tensor * up = nullptr;
    twin t(
        gate_and_up(),
        [&](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs);
            ggml_tensor * gate = p.product(w[0]);
            ggml_tensor * sum = p.sum_of(gate);
            ggml_tensor * other = ggml_add(c, p.input(K), sum);
            ggml_tensor * sum_after = p.sum_of(ggml_cpy(c, other, p.activation));
            ggml_tensor * result = ggml_swiglu_split(c, ggml_add(c, gate, sum_after), up = p.product(w[1]));
            for (ggml_tensor * t : {sum, p.sum_of(other), sum_after}) // so the second output has memory of its own
                result = ggml_add(c, result, t);
            return result;
        },
        test::seed());
    ASSERT_TRUE(has_own_memory(t.npu_graph(), up)) << "the test needs another graph";
    EXPECT_LT(test::twin_error(t), 1e-5);
    EXPECT_EQ(jobs_of(t), apart);
}

TEST(siblings, are_apart_where_other_experts_are_chosen_in_between) {
    SCOPED_TRACE(test::seed_line());
    ggml_tensor * up = nullptr;
    twin t(
        gate_and_up(),
        [&](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs);
            ggml_tensor * gate = p.product(w[0]);
            ggml_tensor * next = ggml_view_2d(c, p.ids->src[0], n_used, 1, p.ids->nb[1], n_used * sizeof(int32_t));
            ggml_tensor * chosen = ggml_cpy(c, next, p.ids);
            ggml_tensor * rows = ggml_get_rows(c, p.input(N, n_experts), ggml_view_1d(c, chosen, n_used, 0));
            ggml_tensor * result = ggml_swiglu_split(c, ggml_add(c, gate, rows), up = p.product(w[1]));
            return ggml_add(c, result, rows); // so the second output has memory of its own
        },
        test::seed());
    ASSERT_TRUE(has_own_memory(t.npu_graph(), up)) << "the test needs another graph";
    EXPECT_LT(test::twin_error(t), 1e-5);
    EXPECT_EQ(jobs_of(t), apart);
}

// As llama.cpp does for a callback that looks at each tensor (llama-imatrix): a node at a time.
TEST(siblings, are_apart_in_a_graph_that_is_computed_in_pieces) {
    SCOPED_TRACE(test::seed_line());
    twin t(
        gate_and_up(),
        [](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs);
            return ggml_swiglu_split(c, p.product(w[0]), p.product(w[1]));
        },
        test::seed());
    const auto whole = t.on_npu();
    ggml_tensor * result = ggml_graph_node(t.npu_graph(), -1);
    test::set_values(result, std::vector<float>(whole.size(), 0.0f));
    test::tensors pieces;
    const auto before = test::emulator_stats().runs;
    for (int i = 0; i < ggml_graph_n_nodes(t.npu_graph()); i++) {
        ggml_cgraph * piece = ggml_new_graph_custom(pieces.context(), 1, false);
        ggml_graph_add_node(piece, ggml_graph_node(t.npu_graph(), i));
        ASSERT_EQ(ggml_backend_graph_compute(t.npu_backend(), piece), GGML_STATUS_SUCCESS);
    }
    EXPECT_EQ(test::get_values(result), whole);
    EXPECT_EQ(test::emulator_stats().runs - before, 2u * n_used);
}

TEST(siblings, are_apart_with_other_experts_rows_or_columns) {
    SCOPED_TRACE(test::seed_line());
    for (const int what : {0, 1, 2}) {
        twin t(
            gate_and_up(0, what == 2 ? 64 : N),
            [&](auto * c, auto & w, auto & inputs) {
                parts p(c, inputs);
                ggml_tensor * gate = p.product(w[0]);
                if (what == 0) // those that come next
                    p.ids = ggml_view_2d(c, p.ids->src[0], n_used, 1, p.ids->nb[1], n_used * sizeof(int32_t));
                if (what == 1) p.activation = p.input(K);
                return ggml_concat(c, gate, p.product(w[1]), 0);
            },
            test::seed());
        EXPECT_LT(test::twin_error(t), 1e-5) << what;
        EXPECT_EQ(jobs_of(t), apart) << what;
    }
}

TEST(siblings, are_apart_where_one_is_on_the_cpu) {
    SCOPED_TRACE(test::seed_line());
    for (const size_t lost : {0, 1}) {
        twin t(
            gate_and_up(),
            [](auto * c, auto & w, auto & inputs) {
                parts p(c, inputs);
                return ggml_swiglu_split(c, p.product(w[0]), p.product(w[1]));
            },
            test::seed());
        for (size_t e = 0; e < n_experts; e++) // the first four are chosen
            t.set_input(1, e, -float(e));
        EXPECT_LT(test::twin_error(t), 1e-5);
        EXPECT_EQ(jobs_of(t), together);
        std::mt19937 random(test::seed());
        auto bad = test::normal_values(random, size_t(K * N * n_experts), 0.05f);
        bad.back() = std::nanf(""); // of an expert that nobody chooses
        test::set_values(t.npu_weight(lost), bad);
        test::set_values(t.cpu_weight(lost), bad);
        EXPECT_LT(test::twin_error(t), 1e-5) << lost;
        EXPECT_EQ(jobs_of(t), one_stack) << lost;
    }
}

// ggml's flag: the other product is not asked for.
TEST(siblings, are_apart_where_only_one_is_computed) {
    SCOPED_TRACE(test::seed_line());
    ggml_tensor *gate = nullptr, *up = nullptr;
    twin t(
        gate_and_up(),
        [&](auto * c, auto & w, auto & inputs) {
            parts p(c, inputs);
            gate = p.product(w[0]);
            return ggml_swiglu_split(c, gate, up = p.product(w[1]));
        },
        test::seed());
    EXPECT_EQ(jobs_of(t), together);
    for (ggml_tensor * product : {gate, up}) {
        product->flags &= ~GGML_TENSOR_FLAG_COMPUTE;
        EXPECT_EQ(jobs_of(t), one_stack);
        product->flags |= GGML_TENSOR_FLAG_COMPUTE;
    }
}

} // namespace
} // namespace rknpu
