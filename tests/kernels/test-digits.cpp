// Kernels of the formats with two digits, and of weight codes, on every instruction set of this machine.
#include "forced-isa.h"
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace rknpu::kernels;

namespace {

INSTANTIATE_TEST_SUITE_P(isa, per_isa, testing::ValuesIn(machine_isas()), isa_of);

std::vector<float> hard_values(size_t count) {
    std::vector<float> x = {0.5f,    1.5f,    2.5f,    -0.5f,    -1.5f,     -2.5f,     8.0f,    -8.0f,
                            119.4f,  -119.6f, 120.0f,  -128.0f,  32639.4f,  -32639.6f, 4e4f,    -4e4f,
                            1e30f,   -1e30f,  NAN,     INFINITY, -INFINITY, 127.5f,    -127.5f, 128.0f,
                            -129.0f, 255.5f,  32511.f, 7.5f,     -8.5f,     7.0f,      1e-45f,  -0.0f};
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0f, 60.0f);
    while (x.size() < count)
        x.push_back(normal(random));
    x.resize(count);
    return x;
}

int expected(float x, float inverse, int least, int most) {
    const float v = x * inverse;
    if (std::isnan(v)) return 0;
    return int(std::nearbyint(std::min(std::max(v, float(least)), float(most))));
}

int nibble(const uint8_t * cell, size_t k) {
    return ((cell[k / 2] >> (k % 2 * 4) & 15) ^ 8) - 8;
}

// high(cell, k) and low(...): the digits that lie in a cell of `per_cell` values.
template <class Quantize, class Digit>
void check_digits(Quantize quantize, size_t per_cell, int radix, int limit, Digit digit) {
    for (const size_t cells : {1, 3, 20}) {
        for (const size_t stride : {32, 96}) {
            for (const float inverse : {1.0f, 0.31f, 37.0f}) {
                const std::vector<float> x = hard_values(cells * per_cell);
                std::vector<uint8_t> out(cells * stride + 32, 0xee);
                quantize(x.data(), inverse, x.size(), out.data(), stride);
                for (size_t k = 0; k < x.size(); k++) {
                    const uint8_t * cell = &out[k / per_cell * stride];
                    const int high = digit(cell, k % per_cell), low = digit(cell + 16, k % per_cell);
                    ASSERT_EQ(radix * high + low, expected(x[k], inverse, -limit, limit)) << x[k] << " * " << inverse;
                    ASSERT_LE(std::abs(high), limit / radix);
                }
                for (size_t i = 0; i < out.size(); i++) {
                    const bool ours = i / stride < cells && i % stride < 32;
                    ASSERT_TRUE(ours || out[i] == 0xee) << "byte " << i << " is not ours";
                }
            }
        }
    }
}

TEST_P(per_isa, i8_digits_add_up_to_the_code) {
    check_digits(quantize_f32_i8_digits, 16, 256, 127 * 256 + 127,
                 [](const uint8_t * cell, size_t k) { return int(int8_t(cell[k])); });
}

TEST_P(per_isa, i4_digits_add_up_to_the_code) {
    check_digits(quantize_f32_i4_digits, 32, 16, 7 * 16 + 7, nibble);
}

TEST_P(per_isa, weight_codes_use_all_of_twos_complement) {
    for (const int limit : {7, 127}) {
        for (const size_t count : {1, 7, 8, 9, 100, 513}) {
            for (const float inverse : {1.0f, -1.0f, 0.37f, -2.9f}) {
                const std::vector<float> x = hard_values(count);
                std::vector<int8_t> codes(count + 1, 99);
                quantize_f32_codes(x.data(), inverse, limit, count, codes.data());
                for (size_t k = 0; k < count; k++)
                    ASSERT_EQ(codes[k], expected(x[k], inverse, -limit - 1, limit)) << x[k] << " * " << inverse;
                ASSERT_EQ(codes[count], 99);
            }
        }
    }
}

// One row of accumulators in two digits; the other bytes are left alone.
template <class ACC, class Kernel> void check_dequantize(Kernel kernel, int radix) {
    std::mt19937 random(11);
    constexpr size_t in_cell = 16 / sizeof(ACC);
    for (const size_t count : {1, 4, 7, 8, 33, 130}) {
        for (const size_t stride : {32, 80}) {
            std::vector<ACC> high(count), low(count);
            std::vector<uint8_t> cells((count + in_cell - 1) / in_cell * stride);
            for (size_t n = 0; n < count; n++) {
                high[n] = ACC(random());
                low[n] = ACC(random());
                std::memcpy(&cells[n / in_cell * stride + n % in_cell * sizeof(ACC)], &high[n], sizeof(ACC));
                std::memcpy(&cells[n / in_cell * stride + 16 + n % in_cell * sizeof(ACC)], &low[n], sizeof(ACC));
            }
            std::vector<float> scales(count), before(count + 1, 3.0f);
            for (float & s : scales)
                s = float(random() % 1000) * 1e-3f - 0.3f;
            for (const bool accumulate : {false, true}) {
                std::vector<float> y = before;
                kernel(cells.data(), stride, 0.123f, scales.data(), count, accumulate, y.data());
                for (size_t n = 0; n < count; n++) {
                    const float value = float(high[n]) * float(radix) + float(low[n]);
                    const float scaled = value * 0.123f;
                    const float product = scaled * scales[n];
                    ASSERT_EQ(y[n], accumulate ? before[n] + product : product) << n << " of " << count;
                }
                ASSERT_EQ(y[count], before[count]);
            }
        }
    }
}

TEST_P(per_isa, i32_digits_become_one_value) {
    check_dequantize<int32_t>(dequantize_i32_digits, 256);
}

TEST_P(per_isa, i16_digits_become_one_value) {
    check_dequantize<int16_t>(dequantize_i16_digits, 16);
}

TEST_P(per_isa, multiply_is_one_rounding_a_value) {
    for (const size_t count : {0, 1, 7, 33, 100}) {
        std::vector<float> x = hard_values(count + 1), factors = hard_values(count + 5);
        const std::vector<float> before = x;
        multiply(x.data(), &factors[4], count);
        for (size_t i = 0; i < count; i++) {
            const float product = before[i] * factors[4 + i];
            ASSERT_TRUE(x[i] == product || (std::isnan(x[i]) && std::isnan(product))) << i;
        }
        ASSERT_EQ(std::memcmp(&x[count], &before[count], sizeof(float)), 0);
    }
}

TEST_P(per_isa, sum_of_squares) {
    for (const size_t count : {0, 1, 5, 64, 1000, 16384}) {
        std::mt19937 random(3);
        std::normal_distribution<float> normal;
        std::vector<float> x(count);
        double exact = 0;
        for (float & v : x) {
            v = normal(random);
            exact += double(v) * double(v);
        }
        // At most count roundings in a lane, in practice their square root.
        EXPECT_NEAR(sum_squares(x.data(), count), exact, 0x1p-24 * exact * (std::sqrt(double(count)) + 2));
    }
}

} // namespace
