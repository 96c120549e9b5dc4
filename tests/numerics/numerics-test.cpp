// Numerics: scales, rotation, rows to codes and back. References are plain loops over what the header promises.
#include "numerics/activation.h"
#include "numerics/rotation.h"
#include "numerics/scale.h"
#include "numerics/weight.h"

#include "layout/layout.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace rknpu {
namespace {

matmul_plan plan_of(size_t K, size_t N, format f, bool rotate) {
    plan_settings wishes;
    wishes.formats = f;
    wishes.rotate = rotate;
    return plan_weight({"w", int64_t(K), int64_t(N)}, *find_chip("rk3588").value(), wishes).value();
}

// A packed weight in plain memory.
struct packed {
    matmul_plan plan;
    basis in;
    std::vector<std::vector<uint8_t>> segments;
    std::vector<float> scales;

    packed(size_t K, size_t N, format f, bool rotated)
        : plan(plan_of(K, N, f, rotated)), in{make_rotation(K, plan.rotation_block, plan.rotation_seed), {}},
          scales(plan.segments.size() * N, -1.0f) {
        for (size_t i = 0; i < plan.segments.size(); i++)
            segments.emplace_back(plan.segment_bytes(i), 0xaa);
    }
    packing pack_outcome(size_t n, std::vector<float> row) {
        std::vector<uint8_t *> native;
        for (auto & s : segments)
            native.push_back(s.data());
        return pack_weight_rows(plan, in, {scale_method::absmax}, n, 1, row.data(), row.size(),
                                {native.data(), scales.data()});
    }
    bool pack(size_t n, const std::vector<float> & row) { return pack_outcome(n, row) == packing::done; }
    std::vector<float> unpack(size_t n) const {
        std::vector<const uint8_t *> native;
        for (auto & s : segments)
            native.push_back(s.data());
        std::vector<float> row(plan.K);
        unpack_weight_row(plan, in, n, native.data(), scales.data(), row.data());
        return row;
    }
};

TEST(scale, i8_maps_the_largest_to_127) {
    const row_scale s = integer_scale(2.54f, 127);
    EXPECT_FLOAT_EQ(s.scale, 0.02f);
    EXPECT_FLOAT_EQ(s.inverse * 2.54f, 127.0f);
}

TEST(scale, f16_scales_are_powers_of_two_far_from_overflow) {
    for (const float absmax : {1e-30f, 1e-5f, 0.7f, 1.0f, 3.0f, 65504.0f, 1e30f}) {
        const row_scale s = f16_scale(absmax);
        int exponent;
        EXPECT_EQ(std::frexp(s.inverse, &exponent), 0.5f) << absmax;
        EXPECT_EQ(s.scale * s.inverse, 1.0f) << absmax;
        EXPECT_GE(absmax * s.inverse, 128.0f) << absmax;
        EXPECT_LT(absmax * s.inverse, 256.0f) << absmax;
    }
}

TEST(scale, zero_and_denormal_rows_have_no_infinite_inverse) {
    EXPECT_EQ(integer_scale(0.0f, 127).scale, 0.0f);
    EXPECT_EQ(f16_scale(0.0f).scale, 0.0f);
    for (const float tiny : {std::numeric_limits<float>::denorm_min(), 1e-40f, std::numeric_limits<float>::min()}) {
        for (const row_scale s : {integer_scale(tiny, 127), integer_scale(tiny, 7), f16_scale(tiny)}) {
            EXPECT_TRUE(std::isfinite(s.inverse));
            EXPECT_TRUE(std::isfinite(s.scale));
        }
    }
}

TEST(rotation, keeps_products_and_is_the_same_everywhere) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const size_t K = 704;
    const rotation r = make_rotation(K, 64, 42);
    auto a = test::normal_values(random, K), b = test::normal_values(random, K);
    const double before = test::reference_product(a, b, 1, 1, K)[0];
    r.apply(a.data(), K);
    r.apply(b.data(), K);
    EXPECT_NEAR(test::reference_product(a, b, 1, 1, K)[0], before, 1e-3);
    // The signs go into packed files: they must never change.
    const std::vector<uint8_t> first(r.signs.begin(), r.signs.begin() + 4);
    EXPECT_EQ(first, (std::vector<uint8_t>{0x6b, 0x21, 0x44, 0xb7}));
    EXPECT_NE(make_rotation(K, 64, 43).signs, r.signs);
    EXPECT_NE(make_rotation(K + 64, 64, 42).signs[0], r.signs[0]);
}

TEST(rotation, spreads_an_outlier) {
    std::vector<float> row(256, 0.0f);
    row[100] = 16.0f;
    make_rotation(256, 256, 1).apply(row.data(), 256);
    for (const float v : row)
        EXPECT_NEAR(std::fabs(v), 1.0f, 1e-5);
}

TEST(weight, f16_sources_survive_exactly) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const size_t K = 8192 + 100, N = 40;
    packed w(K, N, format::w16a16, true);
    for (size_t n = 0; n < N; n++) {
        auto row = test::normal_values(random, K, 0.02f);
        for (auto & v : row)
            v = std::ldexp(std::nearbyint(std::ldexp(v, 14)), -14); // at most 11 bits: a half
        for (auto & v : row)
            v = std::fabs(v) < 0.125f ? v : 0.0f;
        ASSERT_TRUE(w.pack(n, row));
        EXPECT_EQ(w.unpack(n), row) << n;
    }
}

TEST(weight, i8_codes_are_within_half_a_step) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    for (const bool rotated : {false, true}) {
        const size_t K = 8192 + 96, N = 33;
        packed w(K, N, format::w8a8, rotated);
        for (size_t n = 0; n < N; n++) {
            const auto row = test::normal_values(random, K);
            ASSERT_TRUE(w.pack(n, row));
            const auto back = w.unpack(n);
            // Uniform rounding error of one step: variance step^2 / 12, whatever the rotation did.
            double error = 0;
            for (size_t k = 0; k < K; k++)
                error += double(back[k] - row[k]) * double(back[k] - row[k]);
            const double step = std::max(w.scales[n], w.scales[N + n]);
            EXPECT_LT(std::sqrt(error / double(K)), step / std::sqrt(12.0) * 1.1) << n;
            EXPECT_GT(error, 0.0);
        }
    }
}

TEST(weight, rows_with_nan_or_infinity_are_refused) {
    for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
        packed w(64, 32, format::w8a8, true);
        std::vector<float> row(64, 1.0f);
        row[17] = bad;
        EXPECT_EQ(w.pack_outcome(0, row), packing::not_finite);
    }
}

TEST(weight, a_zero_row_is_zero) {
    packed w(64, 32, format::w8a8, true);
    ASSERT_TRUE(w.pack(3, std::vector<float>(64, 0.0f)));
    EXPECT_EQ(w.scales[3], 0.0f);
    EXPECT_EQ(w.unpack(3), std::vector<float>(64, 0.0f));
}

// One activation row in cells of its own (M = 1), and its codes read back by the layout's formula.
struct quantized {
    float scale;
    std::vector<int> codes;
};

quantized quantize_i8(const std::vector<float> & values, bool rotated) {
    const size_t K = values.size();
    const matmul_plan plan = plan_of(K, 64, format::w8a8, rotated);
    const k_segment & last = plan.segments.back();
    std::vector<float> row(last.k_begin + last.K_padded, 99.0f); // whatever is there must not matter
    std::copy(values.begin(), values.end(), row.begin());
    std::vector<std::vector<uint8_t>> staging;
    std::vector<uint8_t *> cells;
    for (const auto & s : plan.segments)
        staging.emplace_back(s.K_padded, 0x55);
    for (auto & s : staging)
        cells.push_back(s.data());
    quantized q;
    const basis in{make_rotation(K, plan.rotation_block, plan.rotation_seed), {}};
    q.scale = quantize_activation_row(plan, in, row.data(), cells.data(), 16);
    for (size_t i = 0; i < plan.segments.size(); i++) {
        const activation_layout layout(plan.soc->tile(element::i8), 1, plan.segments[i].K_padded);
        for (size_t k = 0; k < plan.segments[i].K_padded; k++)
            q.codes.push_back(int8_t(staging[i][layout.index(0, k)]));
    }
    return q;
}

TEST(activation, codes_times_scale_is_the_row_and_padding_is_zero) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    for (const size_t K : {32, 48, 100, 705, 8192, 8200, 16400}) {
        const auto values = test::normal_values(random, K, 3.0f);
        const quantized q = quantize_i8(values, false);
        ASSERT_GE(q.codes.size(), K);
        for (size_t k = 0; k < K; k++) {
            EXPECT_LE(std::fabs(q.scale * float(q.codes[k]) - values[k]), q.scale * 0.5001f) << K << " " << k;
            EXPECT_LE(std::abs(q.codes[k]), 127);
        }
        for (size_t k = K; k < q.codes.size(); k++)
            EXPECT_EQ(q.codes[k], 0) << K << " " << k;
    }
}

TEST(activation, zero_rows_have_scale_zero_and_bad_rows_scale_nan) {
    EXPECT_EQ(quantize_i8(std::vector<float>(64, 0.0f), true).scale, 0.0f);
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> row(64, 1.0f);
        row[5] = bad;
        const quantized q = quantize_i8(row, true);
        EXPECT_TRUE(std::isnan(q.scale));
        for (const int code : q.codes)
            EXPECT_EQ(code, 0);
    }
}

} // namespace
} // namespace rknpu
