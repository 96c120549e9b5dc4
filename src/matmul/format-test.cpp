// See format-test.h.
#include "matmul/format-test.h"

#include "matmul/npu-matmul.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <random>

namespace rknpu {

namespace {

// Large enough for a slice on every core and more than one weight tile; odd where nothing demands otherwise.
constexpr size_t M = 3, K = 1056, N = 2080;

std::vector<float> normal_values(std::mt19937 & random, size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    std::generate(values.begin(), values.end(), [&] { return normal(random); });
    return values;
}

// Relative squared error that rounding explains: f16 has steps of 2^-11; an integer operand of normal values has steps
// of about 4.5 sigma / limit, whose error is a twelfth of their square. Twice that, for chance.
double explained(const format_traits & f) {
    if (!f.is_integer()) return 1e-6;
    const auto noise = [](int limit) { return std::pow(4.5 / limit, 2) / 12; };
    return 2 * (noise(f.weight_limit) + noise(f.activation_limit));
}

double relative_error(const std::vector<float> & activation, const std::vector<float> & weight,
                      const std::vector<float> & output) {
    double wrong = 0, size = 0;
    for (size_t m = 0; m < M; m++) {
        for (size_t n = 0; n < N; n++) {
            double exact = 0;
            for (size_t k = 0; k < K; k++)
                exact += double(activation[m * K + k]) * weight[n * K + k];
            wrong += std::pow(exact - double(output[m * N + n]), 2);
            size += exact * exact;
        }
    }
    return std::sqrt(wrong / size);
}

} // namespace

result<format_outcome> test_format(engine & npu, format f) {
    std::mt19937 random(7);
    const auto activation = normal_values(random, M * K), weight = normal_values(random, N * K);
    plan_settings wishes = npu.planning();
    wishes.formats = policy(f);
    const auto plan = plan_weight({"self-test", int64_t(K), int64_t(N)}, *npu.info().soc, wishes);
    if (!plan.ok()) return plan.status();
    weight_pool pool(npu.npu(), npu.ledger(), 2 * reserved_bytes(plan.value()), 0);
    auto packed = packed_weight::create(npu, pool, plan.value(), reserved_bytes(plan.value()));
    if (!packed.ok()) return packed.status();
    const auto row = [&](size_t n, float * to) { std::copy_n(weight.data() + n * K, K, to); };
    if (auto s = packed.value()->load(row); !s.ok()) return s;

    activation_source source;
    source.data = reinterpret_cast<const uint8_t *>(activation.data());
    source.K = K;
    source.n[0] = M;
    source.stride[0] = K * sizeof(float);
    std::vector<float> output(M * N, NAN);
    std::lock_guard<npu_lock> alone(npu.lock());
    const uint64_t on_cpu = npu.count().jobs_on_cpu, wrong = npu.count().shares_wrong;
    activation_stage stage;
    stage.prepare(npu, *packed.value(), source, 1);
    stage.fill(0, 1);
    npu_matmul work;
    work.prepare(npu, *packed.value(), stage, output.data(), N, "self-test");
    work.reset();
    work.run(0, 1);
    return format_outcome{relative_error(activation, weight, output), std::sqrt(explained(traits_of(f))),
                          npu.count().jobs_on_cpu == on_cpu, npu.count().shares_wrong == wrong};
}

} // namespace rknpu
