// A stand-in for ggml's thread team and its barrier, and a whole matmul run on it.
#pragma once

#include "matmul/npu-matmul.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace rknpu::test {

// Runs body(ith, nth) on nth threads and waits for all: one node of a graph.
inline void on_team(int nth, const std::function<void(int, int)> & body) {
    std::vector<std::thread> threads;
    for (int i = 1; i < nth; i++)
        threads.emplace_back(body, i, nth);
    body(0, nth);
    for (auto & t : threads)
        t.join();
}

// Until a job counts as hung, in tests where one does: longer than any other job takes. An emulated CPU needs more than
// 100 ms for some.
inline unsigned hang_timeout_ms() {
    const char * launcher = std::getenv("RKNPU_TEST_LAUNCHER");
    return launcher && *launcher ? 5000 : 500;
}

inline settings quiet_settings(const char * format = nullptr) {
    std::vector<std::string> complaints;
    const char * none[] = {nullptr};
    settings s = read_settings(none, complaints);
    s.lock = "off";
    s.timeout_ms = 60000;
    if (format) s.format = format;
    return s;
}

// Expected squared relative error: f16 rounds to 2^-11; integers round each operand to steps of absmax / limit with
// absmax of at most about 4.5 sigma for normal values: (4.5 / limit)^2 / 12 for each of the two, and half as much again
// for chance.
inline double error_bound(const std::string & name) {
    const format_traits & f = traits_of(parse_format(name).value());
    if (!f.is_integer()) return 1e-6;
    const auto noise = [](int limit) { return std::pow(4.5 / limit, 2) / 12; };
    return 1.5 * (noise(f.weight_limit) + noise(f.activation_limit));
}

inline activation_source rows_of(const std::vector<float> & values, size_t K) {
    activation_source s;
    s.data = reinterpret_cast<const uint8_t *>(values.data());
    s.K = K;
    s.n[0] = values.size() / K;
    s.stride[0] = K * sizeof(float);
    return s;
}

// A weight and an activation on an engine, multiplied as often as wished.
struct matmul_rig {
    engine & npu;
    size_t M, N, K;
    std::vector<float> activation, weight;
    weight_pool pool;
    std::unique_ptr<packed_weight> packed;
    activation_stage stage;
    npu_matmul work;
    std::vector<float> output;
    std::vector<double> reference; // of error()

    // adjust: changes the plan before the weight is made.
    matmul_rig(engine & npu, size_t M, size_t N, size_t K, std::mt19937 & random,
               const std::function<void(matmul_plan &)> & adjust = {}, const preparation & how = {})
        : npu(npu), M(M), N(N), K(K), activation(normal_values(random, M * K)),
          weight(normal_values(random, N * K, 0.05f)), pool(npu.npu(), npu.ledger(), size_t(64) << 20, 0),
          output(M * N, -77.0f) {
        auto plan = plan_weight({"w", int64_t(K), int64_t(N)}, *npu.info().soc, npu.planning());
        EXPECT_TRUE(plan.ok()) << plan.status().message();
        if (adjust) adjust(plan.value());
        packed = std::move(packed_weight::create(npu, pool, plan.value(), plan.value().weight_bytes()).value());
        load(how);
    }
    // The same weight with another activation.
    void new_activation(size_t rows, std::mt19937 & random) {
        M = rows;
        activation = normal_values(random, M * K);
        output.assign(M * N, -77.0f);
        reference.clear();
    }
    void load(const preparation & how = {}) {
        const status loaded =
            packed->load([&](size_t n, float * row) { std::copy_n(weight.data() + n * K, K, row); }, how);
        EXPECT_TRUE(loaded.ok()) << loaded.message();
    }
    activation_source source() const { return rows_of(activation, K); }
    void prepare(int nth) {
        stage.prepare(npu, *packed, source(), nth);
        work.prepare(npu, *packed, stage, output.data(), N, "w");
    }
    void run(int nth) {
        stage.reset();
        work.reset();
        on_team(nth, [&](int ith, int n) { stage.fill(ith, n); });
        on_team(nth, [&](int ith, int n) { work.run(ith, n); });
    }
    // Squared error over squared size against exact arithmetic, which is computed once: the operands stay as they are
    // from the first call on.
    double error() {
        if (reference.empty()) reference = reference_product(activation, weight, M, N, K);
        return normalized_error(output, reference);
    }
};

} // namespace rknpu::test
