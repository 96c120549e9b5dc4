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

// The tests' own arithmetic is most of what some of them do, and under a sanitizer it would be ten times as much: it is
// not what is tested, and is compiled without.
#define RKNPU_TEST_ARITHMETIC __attribute__((no_sanitize("address,undefined,thread"), noinline))

// Values that are close to normal: sums of eight bytes, of at most 4.9 sigma, seeded by one draw of random. A library's
// normal distribution takes as long as a matmul.
RKNPU_TEST_ARITHMETIC inline void fill_normal(uint64_t state, float * values, size_t count, float sigma) {
    constexpr uint64_t even = 0x00ff00ff00ff00ff, ones = 0x0001000100010001;
    const float step = sigma / 209.0f; // eight bytes: variance 8 (256^2 - 1) / 12
    for (size_t i = 0; i < count; i++) {
        uint64_t x = state += 0x9e3779b97f4a7c15; // splitmix64, by Steele, Lea and Flood
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        x ^= x >> 31;
        const uint64_t sum = ((x & even) + (x >> 8 & even)) * ones >> 48;
        values[i] = (float(sum) + float(x >> 40) * 0x1p-24f - 1020.5f) * step;
    }
}

inline std::vector<float> normal_values(std::mt19937 & random, size_t count, float sigma = 1.0f) {
    std::vector<float> values(count);
    const uint64_t high = random();
    fill_normal(high << 32 | random(), values.data(), count, sigma);
    return values;
}

RKNPU_TEST_ARITHMETIC inline void add_products(const float * activation, const float * weight, double * output,
                                               size_t M, size_t N, size_t K) {
    constexpr size_t lanes = 8;
    double columns[256 * lanes];
    for (size_t n = 0; n < N; n += lanes) {
        const size_t width = N - n < lanes ? N - n : lanes;
        for (size_t first = 0; first < K; first += 256) {
            const size_t depth = K - first < 256 ? K - first : 256;
            for (size_t k = 0; k < depth; k++) {
                for (size_t i = 0; i < lanes; i++)
                    columns[k * lanes + i] = i < width ? double(weight[(n + i) * K + first + k]) : 0.0;
            }
            for (size_t m = 0; m < M; m++) {
                double sums[lanes] = {};
                for (size_t i = 0; i < width; i++)
                    sums[i] = output[m * N + n + i];
                for (size_t k = 0; k < depth; k++) {
                    const double a = activation[m * K + first + k];
                    for (size_t i = 0; i < lanes; i++)
                        sums[i] += a * columns[k * lanes + i];
                }
                for (size_t i = 0; i < width; i++)
                    output[m * N + n + i] = sums[i];
            }
        }
    }
}

// output[m * N + n] = sum over k of activation[m * K + k] * weight[n * K + k], in f64: each output in ascending k,
// eight of them side by side.
inline std::vector<double> reference_product(const std::vector<float> & activation, const std::vector<float> & weight,
                                             size_t M, size_t N, size_t K) {
    std::vector<double> output(M * N, 0.0);
    add_products(activation.data(), weight.data(), output.data(), M, N, K);
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
