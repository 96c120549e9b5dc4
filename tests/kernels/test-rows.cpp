// The row kernels (magnitude, rotation, quantisation, dequantisation) against scalar loops, on every instruction set.
#include "forced-isa.h"
#include "reference.h"

#include <algorithm>
#include <cstring>

using namespace rknpu::kernels;

namespace {

INSTANTIATE_TEST_SUITE_P(isa, per_isa, testing::ValuesIn(machine_isas()), isa_of);

std::vector<float> random_row(size_t count, uint32_t seed = test_seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> x(count);
    for (auto & v : x)
        v = normal(random);
    return x;
}

TEST_P(per_isa, absmax_finds_the_largest_anywhere) {
    for (size_t count : {1, 3, 15, 16, 17, 63, 64, 65, 200}) {
        for (size_t place = 0; place < count; place++) {
            std::vector<float> x(count, 0.25f);
            x[place] = -3.5f;
            ASSERT_EQ(absmax(x.data(), count), 3.5f) << count << " " << place;
        }
    }
    const std::vector<float> zeros = {0.0f, -0.0f, 0.0f};
    EXPECT_EQ(absmax(zeros.data(), 3), 0.0f);
    EXPECT_FALSE(std::signbit(absmax(zeros.data(), 3)));
    EXPECT_EQ(absmax(zeros.data(), 0), 0.0f);
    const std::vector<float> tiny = {0.0f, -1e-45f, 0.0f};
    EXPECT_EQ(absmax(tiny.data(), 3), 1e-45f);
}

TEST_P(per_isa, absmax_shows_every_non_finite_value) {
    for (float bad : {INFINITY, -INFINITY, NAN, -NAN}) {
        for (size_t count : {1, 7, 64, 77}) {
            for (size_t place = 0; place < count; place++) {
                std::vector<float> x(count, 3e38f);
                x[place] = bad;
                ASSERT_FALSE(std::isfinite(absmax(x.data(), count))) << bad << " at " << place << " of " << count;
            }
        }
    }
    const std::vector<float> large(77, -3.4e38f);
    EXPECT_EQ(absmax(large.data(), 77), 3.4e38f);
}

TEST_P(per_isa, hadamard_is_the_signed_orthonormal_transform) {
    for (size_t block = 1; block <= 512; block *= 2) {
        for (size_t blocks : {1, 2, 3, 7}) {
            const size_t count = block * blocks;
            SCOPED_TRACE("block " + std::to_string(block) + " blocks " + std::to_string(blocks));
            const std::vector<float> x = random_row(count);
            std::mt19937 random(test_seed);
            std::vector<uint8_t> signs((count + 7) / 8); // exactly as many bytes as there are bits for
            for (auto & s : signs)
                s = uint8_t(random());
            std::vector<float> y = x;
            hadamard_rows(y.data(), signs.data(), count, block);
            for (size_t i = 0; i < count; i++) {
                double sum = 0, norm = 0;
                for (size_t j = 0; j < block; j++) {
                    const size_t at = i / block * block + j;
                    const double v = (signs[at / 8] >> (at % 8) & 1) ? -double(x[at]) : double(x[at]);
                    size_t shared = i % block & j;
                    int parity = 0;
                    for (; shared != 0; shared &= shared - 1)
                        parity ^= 1;
                    sum += parity ? -v : v;
                    norm += v * v;
                }
                // log2(block) + 2 roundings, each at most 2^-24 of the block's norm.
                ASSERT_NEAR(y[i], sum / std::sqrt(double(block)),
                            (std::log2(double(block)) + 2) * 0x1p-24 * std::sqrt(norm));
            }
        }
    }
}

TEST_P(per_isa, hadamard_of_block_1_only_flips_signs) {
    std::vector<float> x = {1, -2, 0.0f, 4, 1e-45f, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    const uint8_t signs[] = {0x07, 0x80, 0x01};
    hadamard_rows(x.data(), signs, x.size(), 1);
    const std::vector<float> expected = {-1, 2, -0.0f, 4, 1e-45f, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, -16, -17};
    EXPECT_EQ(std::memcmp(x.data(), expected.data(), sizeof(float) * x.size()), 0);
}

std::vector<float> plain_butterflies(std::vector<float> x, const std::vector<uint8_t> & signs, size_t block) {
    const float scale = float(1 / std::sqrt(double(block)));
    for (size_t i = 0; i < x.size(); i++)
        x[i] = (signs[i / 8] >> (i % 8) & 1) ? -(x[i] * scale) : x[i] * scale;
    for (size_t h = 1; h < block; h *= 2) {
        for (size_t i = 0; i < x.size(); i++) {
            if (i & h) continue;
            const float sum = x[i] + x[i + h];
            x[i + h] = x[i] - x[i + h];
            x[i] = sum;
        }
    }
    return x;
}

TEST_P(per_isa, hadamard_gives_the_bits_of_plain_butterflies) {
    for (size_t block = 1; block <= 8192; block *= 2) {
        for (float size : {1.0f, 1e-38f, 1e37f}) { // the last two reach subnormals and infinities
            const size_t count = block * 3;
            std::vector<float> x = random_row(count, uint32_t(test_seed + block));
            for (auto & v : x)
                v *= size;
            std::vector<uint8_t> signs((count + 7) / 8);
            std::mt19937 random(test_seed);
            for (auto & s : signs)
                s = uint8_t(random());
            const std::vector<float> expected = plain_butterflies(x, signs, block);
            hadamard_rows(x.data(), signs.data(), count, block);
            for (size_t i = 0; i < count; i++) {
                if (std::isnan(expected[i])) {
                    ASSERT_TRUE(std::isnan(x[i])) << i << " of block " << block << " seed " << test_seed;
                } else {
                    ASSERT_EQ(std::memcmp(&x[i], &expected[i], 4), 0)
                        << i << " of block " << block << ": " << x[i] << " " << expected[i] << " seed " << test_seed;
                }
            }
        }
    }
}

TEST_P(per_isa, hadamard_of_zeros_is_zero) {
    std::vector<float> x(4096, 0.0f);
    const std::vector<uint8_t> signs(512, 0x5a);
    hadamard_rows(x.data(), signs.data(), 4096, 1024);
    EXPECT_EQ(absmax(x.data(), 4096), 0.0f);
}

// Cells of another row (M = 2) lie between; they must stay as they are.
template <class CODE> std::vector<CODE> cells_of_row(const std::vector<uint8_t> & cells, size_t count, uint8_t fill) {
    std::vector<CODE> codes(count);
    const size_t per_cell = 16 / sizeof(CODE);
    for (size_t i = 0; i < count; i++)
        std::memcpy(&codes[i], &cells[i / per_cell * 32 + i % per_cell * sizeof(CODE)], sizeof(CODE));
    for (size_t i = 0; i < cells.size(); i++) {
        if (i % 32 >= 16) {
            EXPECT_EQ(cells[i], fill) << "byte " << i << " belongs to the other row";
        }
    }
    return codes;
}

int expected_code(float x, float inverse_scale, double least, double most) {
    const float scaled = x * inverse_scale;
    if (std::isinf(scaled)) return int(scaled < 0 ? least : most);
    const double whole = std::floor(double(scaled)), rest = double(scaled) - whole;
    const double rounded = rest > 0.5 || (rest == 0.5 && std::fmod(whole, 2) != 0) ? whole + 1 : whole;
    return int(std::clamp(rounded, least, most));
}

TEST_P(per_isa, quantize_i8_rounds_half_to_even_and_clamps) {
    std::vector<float> x = {0.5f,   1.5f, 2.5f,  -0.5f,  -1.5f, -2.5f, 126.5f, -126.5f,
                            127.5f, -128, 1e30f, -1e30f, 0.0f,  -0.0f, 1e-45f, -1e-45f};
    for (float v : random_row(16 * 33))
        x.push_back(20 * v);
    for (float inverse_scale : {1.0f, 0.37f, 3.4e38f}) {
        std::vector<uint8_t> cells(2 * x.size(), 0xee);
        quantize_f32_i8(x.data(), inverse_scale, x.size(), cells.data(), 32);
        const auto codes = cells_of_row<int8_t>(cells, x.size(), 0xee);
        for (size_t i = 0; i < x.size(); i++) {
            ASSERT_EQ(codes[i], expected_code(x[i], inverse_scale, -127, 127)) << x[i] << " * " << inverse_scale;
        }
    }
}

TEST_P(per_isa, quantize_i8_of_non_finite_rows_harms_no_neighbour) {
    std::vector<float> x(16, 3.0f);
    x[5] = NAN;
    x[6] = INFINITY;
    std::vector<uint8_t> cells(32, 0xee);
    quantize_f32_i8(x.data(), 1, 16, cells.data(), 32);
    const auto codes = cells_of_row<int8_t>(cells, 16, 0xee);
    for (size_t i = 0; i < 16; i++) {
        if (i != 5) {
            EXPECT_EQ(codes[i], i == 6 ? 127 : 3);
        }
    }
}

// The 32 codes of each cell, by the definition: even k in the low nibble.
std::vector<int> nibbles(const std::vector<uint8_t> & cells, size_t count, size_t stride) {
    std::vector<int> codes(count);
    for (size_t k = 0; k < count; k++) {
        const int nibble = cells[k / 32 * stride + k % 32 / 2] >> (k % 2 * 4) & 15;
        codes[k] = nibble < 8 ? nibble : nibble - 16;
    }
    return codes;
}

TEST_P(per_isa, quantize_i4_rounds_half_to_even_and_clamps) {
    std::vector<float> x = {0.5f,  1.5f,  2.5f,    -0.5f, -1.5f, -2.5f, 6.5f,     -6.5f,     7.5f,  -7.5f,  7.0f,
                            -8.0f, 127.f, -128.0f, 3e5f,  -3e5f, 1e30f, -1e30f,   0.0f,      -0.0f, 1e-45f, -1e-45f,
                            4e9f,  -4e9f, 32768.f, 6.4f,  -6.6f, 1e10f, INFINITY, -INFINITY, 4.5f,  5.5f};
    for (float v : random_row(32 * 37))
        x.push_back(v);
    for (size_t count : {size_t(32), size_t(96), x.size()}) {
        for (float inverse_scale : {1.0f, 0.37f, 3.4e38f}) {
            for (size_t stride : {16, 32}) {
                std::vector<uint8_t> cells(count / 32 * stride + 16, 0xee);
                quantize_f32_i4(x.data(), inverse_scale, count, cells.data(), stride);
                const std::vector<int> codes = nibbles(cells, count, stride);
                for (size_t k = 0; k < count; k++)
                    ASSERT_EQ(codes[k], expected_code(x[k], inverse_scale, -8, 7)) << x[k] << " * " << inverse_scale;
                for (size_t i = 0; i < cells.size(); i++) {
                    const bool ours = i % stride < 16 && i / stride < count / 32;
                    ASSERT_TRUE(ours || cells[i] == 0xee) << "byte " << i << " is not ours";
                }
            }
        }
    }
}

TEST_P(per_isa, quantize_i4_puts_even_k_into_the_low_nibble) {
    std::vector<float> x(32, 0.0f);
    for (int k = 0; k < 15; k++)
        x[size_t(k)] = float(k - 7);
    x[31] = 3;
    std::vector<uint8_t> cell(16);
    quantize_f32_i4(x.data(), 1, 32, cell.data(), 16);
    const std::vector<uint8_t> golden = {0xa9, 0xcb, 0xed, 0x0f, 0x21, 0x43, 0x65, 0x07,
                                         0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30};
    EXPECT_EQ(cell, golden);
}

TEST_P(per_isa, quantize_i4_of_nan_harms_no_neighbour) {
    for (size_t bad = 0; bad < 32; bad++) {
        std::vector<float> x(32, -3.0f);
        x[bad] = NAN;
        std::vector<uint8_t> cell(16);
        quantize_f32_i4(x.data(), 1, 32, cell.data(), 16);
        const std::vector<int> codes = nibbles(cell, 32, 16);
        for (size_t k = 0; k < 32; k++)
            ASSERT_EQ(codes[k], k == bad ? 0 : -3) << "NaN at " << bad;
    }
}

TEST_P(per_isa, adjacent_cells_get_the_bytes_of_strided_ones) {
    for (size_t count : {32, 64, 96, 160, 544}) {
        const std::vector<float> x = random_row(count, uint32_t(count));
        const auto check = [&](auto quantize, size_t per_cell, size_t cells_of_x) {
            std::vector<uint8_t> strided(cells_of_x * 48), adjacent(cells_of_x * 16 + 16, 0xee);
            quantize(x.data(), 1.7f, cells_of_x * per_cell, strided.data(), 48);
            quantize(x.data(), 1.7f, cells_of_x * per_cell, adjacent.data(), 16);
            for (size_t cell = 0; cell < cells_of_x; cell++)
                ASSERT_EQ(std::memcmp(&strided[48 * cell], &adjacent[16 * cell], 16), 0) << cell << " of " << count;
            for (size_t i = cells_of_x * 16; i < adjacent.size(); i++)
                ASSERT_EQ(adjacent[i], 0xee);
        };
        check(quantize_f32_i8, 16, count / 16);
        check(quantize_f32_i4, 32, count / 32);
        check(quantize_f32_f16, 8, count / 8);
        check(quantize_f32_f16, 8, count / 8 - 1); // not a whole number of wide vectors
    }
}

TEST_P(per_isa, quantize_f16_rounds_to_nearest_even) {
    std::vector<float> x = {0.0f,        -0.0f,      65504,        65519.99f,    65520,        -65520,
                            1e30f,       INFINITY,   -INFINITY,    0x1p-24f,     0x1p-25f,     0x1.000002p-25f,
                            -0x1.8p-24f, 0x1p-14f,   0x1.ffcp-15f, 0x1.ffep-15f, 1 + 0x1p-11f, 1 + 0x3p-11f,
                            1e-45f,      0x1.4p-23f, 3.0e-8f,      1.0f,         2048.5f,      -2049.0f};
    std::mt19937 random(test_seed);
    for (int i = 0; i < 8 * 500; i++) {
        const float mantissa = 1 + float(random() >> 8) * 0x1p-24f;
        x.push_back(std::ldexp(random() & 1 ? mantissa : -mantissa, int(random() % 46) - 28));
    }
    std::vector<uint8_t> cells(4 * x.size(), 0xee);
    quantize_f32_f16(x.data(), 1, x.size(), cells.data(), 32);
    const auto codes = cells_of_row<uint16_t>(cells, x.size(), 0xee);
    for (size_t i = 0; i < x.size(); i++)
        ASSERT_EQ(codes[i], f16_nearest(x[i])) << x[i] << " seed " << test_seed;

    const std::vector<float> bad(8, NAN);
    quantize_f32_f16(bad.data(), 1, 8, cells.data(), 32);
    for (size_t i = 0; i < 8; i++)
        EXPECT_TRUE(std::isnan(f16_value(cells_of_row<uint16_t>(cells, 8, 0xee)[i])));
}

template <class ACC, class F> void check_dequantize(const std::vector<ACC> & values, F kernel) {
    constexpr size_t in_cell = 16 / sizeof(ACC);
    for (size_t count : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 64, 95, 127, 130}) {
        for (int variant = 0; variant < 4; variant++) {
            const bool accumulate = variant % 2;
            const size_t stride = variant < 2 ? 48 : 16;                           // M = 3, row 0, or M = 1
            std::vector<uint8_t> cells((count - 1) / in_cell * stride + 16, 0xee); // ends with the last cell
            for (size_t n = 0; n < count; n++)
                std::memcpy(&cells[n / in_cell * stride + n % in_cell * sizeof(ACC)], &values[n % values.size()],
                            sizeof(ACC));
            const std::vector<float> scales = random_row(count, 7);
            const std::vector<float> before = random_row(count + 1, 8);
            std::vector<float> y = before;
            kernel(cells.data(), stride, 0.123f, scales.data(), count, accumulate, y.data());
            for (size_t n = 0; n < count; n++) {
                const float row_scaled = float(values[n % values.size()]) * 0.123f;
                const float product = row_scaled * scales[n];
                const float sum = before[n] + product;
                ASSERT_EQ(y[n], accumulate ? sum : product) << n << " of " << count << ", stride " << stride;
            }
            ASSERT_EQ(y[count], before[count]);
        }
    }
}

TEST_P(per_isa, dequantize_i32) {
    std::mt19937 random(test_seed);
    std::vector<int32_t> values(64);
    for (auto & v : values)
        v = int32_t(random());
    values[0] = INT32_MIN;
    values[1] = INT32_MAX;
    values[2] = 0;
    values[3] = 16777217; // the first integer that f32 cannot hold
    check_dequantize(values, dequantize_i32_f32);
}

TEST_P(per_isa, dequantize_i16) {
    std::mt19937 random(test_seed);
    std::vector<int16_t> values(130);
    for (auto & v : values)
        v = int16_t(random());
    check_dequantize(values, dequantize_i16_f32);
}

TEST_P(per_isa, dequantize_i16_is_exact_for_every_value) {
    std::vector<int16_t> values(65536);
    for (size_t i = 0; i < values.size(); i++)
        values[i] = int16_t(int(i) - 32768);
    std::vector<uint8_t> cells(2 * values.size());
    std::memcpy(cells.data(), values.data(), cells.size());
    const std::vector<float> ones(values.size(), 1.0f);
    std::vector<float> y(values.size());
    dequantize_i16_f32(cells.data(), 16, 1.0f, ones.data(), values.size(), false, y.data());
    for (size_t i = 0; i < values.size(); i++)
        ASSERT_EQ(y[i], float(values[i]));
    EXPECT_FALSE(std::signbit(y[32768])); // zero
}

TEST_P(per_isa, dequantize_f32) {
    std::vector<float> values = random_row(64);
    values[0] = INFINITY;
    values[1] = -0.0f;
    values[2] = 1e-45f;
    check_dequantize(values, dequantize_f32_f32);
}

TEST(isa, an_unforced_process_uses_the_best_set) {
    EXPECT_STREQ(isa_name(), hwy::TargetName(machine_isas().front()));
}

} // namespace
