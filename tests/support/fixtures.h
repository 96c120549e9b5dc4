// Shared by the unit tests: seeded random numbers and a plain reference product.
//
// Invariant: the seed is printed on failure and taken back from RKNPU_TEST_SEED.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace rknpu::test {

inline unsigned seed() {
    static const unsigned value =
        std::getenv("RKNPU_TEST_SEED") ? unsigned(std::atoi(std::getenv("RKNPU_TEST_SEED"))) : std::random_device{}();
    return value;
}

inline std::string seed_line() {
    return "repeat with RKNPU_TEST_SEED=" + std::to_string(seed());
}

inline std::vector<float> normal_values(std::mt19937 & random, size_t count, float sigma = 1.0f) {
    std::normal_distribution<float> normal(0.0f, sigma);
    std::vector<float> values(count);
    for (auto & v : values)
        v = normal(random);
    return values;
}

// output[m * N + n] = sum over k of activation[m * K + k] * weight[n * K + k], in f64. Rows of outputs are summed side
// by side: each in ascending k, and several at once where the machine can.
inline std::vector<double> reference_product(const std::vector<float> & activation, const std::vector<float> & weight,
                                             size_t M, size_t N, size_t K) {
    std::vector<double> columns(K * N), output(M * N, 0.0);
    for (size_t n = 0; n < N; n++) {
        for (size_t k = 0; k < K; k++)
            columns[k * N + n] = weight[n * K + k];
    }
    for (size_t m = 0; m < M; m++) {
        double * row = output.data() + m * N;
        for (size_t k = 0; k < K; k++) {
            const double a = activation[m * K + k];
            const double * column = columns.data() + k * N;
            for (size_t n = 0; n < N; n++)
                row[n] += a * column[n];
        }
    }
    return output;
}

// Squared error over squared size, as ggml's test-backend-ops measures it.
template <class A, class B> double normalized_error(const A & value, const B & reference) {
    double error = 0, size = 0;
    for (size_t i = 0; i < reference.size(); i++) {
        error += (double(value[i]) - double(reference[i])) * (double(value[i]) - double(reference[i]));
        size += double(reference[i]) * double(reference[i]);
    }
    return error / size;
}

} // namespace rknpu::test
