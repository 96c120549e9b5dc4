// A stack of weights, or two siblings, with an activation and a choice of experts, multiplied as often as wished.
#pragma once

#include "matmul/npu-experts.h"
#include "support/emulated.h"
#include "team.h"

namespace rknpu::test {

// How many rows of an activation each token has: one for all its experts, or one for each.
enum class rows { shared, own };

// Of siblings: one list of jobs for both, or one for each.
enum class lists { one, two };

struct experts_case {
    size_t n_experts, n_used, n_tokens, N, K;
    rows activation;
};

struct experts_rig {
    struct sibling {
        std::vector<float> weight;
        std::unique_ptr<packed_weight> packed;
        std::vector<float> output;
        npu_experts alone; // not in the other's list
    };

    engine & npu;
    experts_case c;
    size_t n_rows; // of the activation, for each token
    std::vector<float> activation, weight;
    std::vector<int32_t> ids; // [n_tokens][ids_stride]
    size_t ids_stride;
    weight_pool pool;
    std::unique_ptr<packed_weight> packed;
    expert_stage stage;
    npu_experts work;
    std::vector<float> output;
    std::unique_ptr<sibling> other; // nullptr: there is one stack

    // adjust: changes the plan before the weight is made.
    experts_rig(engine & npu, const experts_case & c, std::mt19937 & random,
                const std::function<void(matmul_plan &)> & adjust = {})
        : npu(npu), c(c), n_rows(c.activation == rows::own ? c.n_used : 1),
          activation(normal_values(random, c.n_tokens * n_rows * c.K)),
          weight(normal_values(random, c.n_experts * c.N * c.K, 0.05f)),
          ids_stride(std::max(c.n_experts, c.n_used) + 3), pool(npu.npu(), npu.ledger(), size_t(1) << 20, 0),
          output(c.n_tokens * c.n_used * c.N) {
        packed = pack("blk.0.ffn_up_exps.weight", weight, adjust);
        ids.resize(c.n_tokens * ids_stride, -1); // what lies behind the ids of a token is not read
        route([&](size_t, size_t) { return random() % c.n_experts; });
    }
    std::unique_ptr<packed_weight> pack(const char * name, const std::vector<float> & values,
                                        const std::function<void(matmul_plan &)> & adjust = {}) {
        auto plan =
            plan_weight({name, int64_t(c.K), int64_t(c.N), int64_t(c.n_experts)}, *npu.info().soc, npu.planning());
        EXPECT_TRUE(plan.ok()) << plan.status().message();
        if (adjust) adjust(plan.value());
        auto made = std::move(packed_weight::create(npu, pool, plan.value(), reserved_bytes(plan.value())).value());
        const status loaded =
            made->load([&](size_t n, float * row) { std::copy_n(values.data() + n * c.K, c.K, row); });
        EXPECT_TRUE(loaded.ok()) << loaded.message();
        return made;
    }
    // From the next preparation on there is a second stack.
    void add_sibling(std::mt19937 & random) {
        other = std::make_unique<sibling>();
        other->weight = normal_values(random, weight.size(), 0.05f);
        other->packed = pack("blk.0.ffn_gate_exps.weight", other->weight);
        other->output.resize(output.size());
    }
    void route(const std::function<size_t(size_t token, size_t slot)> & choose) {
        for (size_t token = 0; token < c.n_tokens; token++) {
            for (size_t slot = 0; slot < c.n_used; slot++)
                ids[token * ids_stride + slot] = int32_t(choose(token, slot));
        }
    }
    void prepare(int nth, lists how = lists::one) {
        activation_source source;
        source.data = reinterpret_cast<const uint8_t *>(activation.data());
        source.K = c.K;
        source.n[0] = n_rows;
        source.n[1] = c.n_tokens;
        source.stride[0] = c.K * sizeof(float);
        source.stride[1] = n_rows * c.K * sizeof(float);
        const expert_ids chosen{reinterpret_cast<const uint8_t *>(ids.data()),
                                c.n_used,
                                c.n_tokens,
                                {sizeof(int32_t), ids_stride * sizeof(int32_t)}};
        stage.prepare(npu, *packed, source, chosen, nth);
        work.prepare(npu, *packed, stage, output.data(), c.N, "experts");
        if (!other) return;
        if (how == lists::one)
            work.add_sibling(*other->packed, other->output.data(), "siblings");
        else
            other->alone.prepare(npu, *other->packed, stage, other->output.data(), c.N, "siblings");
    }
    void run(int nth, lists how = lists::one) {
        std::fill(output.begin(), output.end(), -77.0f);
        if (other) std::fill(other->output.begin(), other->output.end(), -77.0f);
        stage.reset();
        work.reset();
        on_team(nth, [&](int ith, int n) { stage.fill(ith, n); });
        on_team(nth, [&](int ith, int n) { work.run(ith, n); });
        if (!other || how == lists::one) return;
        other->alone.reset();
        on_team(nth, [&](int ith, int n) { other->alone.run(ith, n); });
    }
    // Of a rig with siblings: what they give together, or each alone.
    std::vector<float> outputs(int nth, lists how) {
        prepare(nth, how);
        run(nth, how);
        std::vector<float> all = output;
        all.insert(all.end(), other->output.begin(), other->output.end());
        return all;
    }
    // Squared error over squared size against exact arithmetic, of every so many tokens; of siblings the larger.
    double error(size_t every = 1) const {
        const double of_first = error_of(weight, output, every);
        return other ? std::max(of_first, error_of(other->weight, other->output, every)) : of_first;
    }
    double error_of(const std::vector<float> & weight, const std::vector<float> & output, size_t every) const {
        std::vector<double> exact;
        std::vector<float> got;
        for (size_t token = 0; token < c.n_tokens; token += every) {
            for (size_t slot = 0; slot < c.n_used; slot++) {
                const float * x = activation.data() + (token * n_rows + slot % n_rows) * c.K;
                const float * w = weight.data() + size_t(ids[token * ids_stride + slot]) * c.N * c.K;
                const float * row = output.data() + (token * c.n_used + slot) * c.N;
                got.insert(got.end(), row, row + c.N);
                exact.resize(got.size(), 0.0);
                add_products(x, w, exact.data() + exact.size() - c.N, 1, c.N, c.K);
            }
        }
        return normalized_error(got, exact);
    }
};

} // namespace rknpu::test
