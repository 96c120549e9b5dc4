// The native matrix products against triple loops over the layout formulas, on every instruction set.
#include "forced-isa.h"
#include "reference.h"

#include "layout/layout.h"

#include <algorithm>
#include <cstring>

using namespace rknpu;

namespace {

INSTANTIATE_TEST_SUITE_P(isa, per_isa, testing::ValuesIn(machine_isas()), isa_of);

const tile_shape & tile_of(element type) {
    return find_chip("rk3588").value()->tile(type);
}

struct shape {
    size_t M, K, N, n_begin, n_end;
};

std::vector<shape> shapes(size_t tile_n) {
    std::vector<shape> all;
    for (size_t M : {1, 2, 3, 5, 17}) {
        for (size_t K : {32, 64, 96, 256, 320})
            all.push_back({M, K, 3 * tile_n, 0, 3 * tile_n});
        all.push_back({M, 96, 5 * tile_n, tile_n, 4 * tile_n});
        all.push_back({M, 64, 2 * tile_n, tile_n, 2 * tile_n});
    }
    for (size_t M : {1, 4, 9})
        all.push_back({M, 8192, tile_n, 0, tile_n});
    return all;
}

std::string name_of(const shape & s) {
    return "M " + std::to_string(s.M) + " K " + std::to_string(s.K) + " N " + std::to_string(s.N) + " columns " +
           std::to_string(s.n_begin) + ".." + std::to_string(s.n_end) + " seed " + std::to_string(test_seed);
}

int nibble(const std::vector<uint8_t> & bytes, size_t i) {
    const int code = bytes[i / 2] >> (i % 2 * 4) & 15;
    return code < 8 ? code : code - 16;
}

// An operand pair: next() gives the codes of the activation, then of the weight.
template <class F> void check_i8(const shape & s, F next) {
    SCOPED_TRACE(name_of(s));
    const activation_layout a_at(tile_of(element::i8), s.M, s.K);
    const weight_layout w_at(tile_of(element::i8), s.N, s.K);
    const output_layout o_at(tile_of(element::i8), s.M, s.N);
    std::vector<int8_t> a(a_at.size()), w(w_at.size());
    for (auto & x : a)
        x = int8_t(next());
    for (auto & x : w)
        x = int8_t(next());
    constexpr int32_t untouched = 0x5a5a5a5a;
    std::vector<int32_t> out(o_at.size(), untouched);
    kernels::matmul_native_i8(a.data(), w.data(), out.data(), s.M, s.K, s.n_begin, s.n_end);
    for (size_t m = 0; m < s.M; m++) {
        for (size_t n = 0; n < s.N; n++) {
            int32_t sum = 0;
            for (size_t k = 0; k < s.K; k++)
                sum += a[a_at.index(m, k)] * w[w_at.index(n, k)];
            const bool inside = n >= s.n_begin && n < s.n_end;
            ASSERT_EQ(out[o_at.index(m, n)], inside ? sum : untouched) << "row " << m << " column " << n;
        }
    }
}

template <class F> void check_i4(const shape & s, F next) {
    SCOPED_TRACE(name_of(s));
    const activation_layout a_at(tile_of(element::i4), s.M, s.K);
    const weight_layout w_at(tile_of(element::i4), s.N, s.K);
    const output_layout o_at(tile_of(element::i4), s.M, s.N);
    std::vector<uint8_t> a(a_at.size() / 2), w(w_at.size() / 2);
    for (auto & x : a)
        x = uint8_t(next());
    for (auto & x : w)
        x = uint8_t(next());
    constexpr int16_t untouched = 0x5a5a;
    std::vector<int16_t> out(o_at.size(), untouched);
    kernels::matmul_native_i4(a.data(), w.data(), out.data(), s.M, s.K, s.n_begin, s.n_end);
    for (size_t m = 0; m < s.M; m++) {
        for (size_t n = 0; n < s.N; n++) {
            int32_t sum = 0;
            for (size_t k = 0; k < s.K; k++)
                sum += nibble(a, a_at.index(m, k)) * nibble(w, w_at.index(n, k));
            const bool inside = n >= s.n_begin && n < s.n_end;
            ASSERT_EQ(out[o_at.index(m, n)], inside ? std::clamp(sum, -32768, 32767) : untouched)
                << "row " << m << " column " << n;
        }
    }
}

struct f16_job {
    activation_layout a_at;
    weight_layout w_at;
    output_layout o_at;
    std::vector<uint16_t> a, w;
    std::vector<float> out;

    explicit f16_job(const shape & s)
        : a_at(tile_of(element::f16), s.M, s.K), w_at(tile_of(element::f16), s.N, s.K),
          o_at(tile_of(element::f16), s.M, s.N), a(a_at.size()), w(w_at.size()), out(o_at.size(), -77.0f) {}
    void run(const shape & s) {
        kernels::matmul_native_f16(a.data(), w.data(), out.data(), s.M, s.K, s.n_begin, s.n_end);
    }
};

// bound: relative to the sum of magnitudes. 0 where every partial sum is exact in f32.
template <class F> void check_f16(const shape & s, double bound, F next) {
    SCOPED_TRACE(name_of(s));
    f16_job job(s);
    for (auto & x : job.a)
        x = next();
    for (auto & x : job.w)
        x = next();
    job.run(s);
    for (size_t m = 0; m < s.M; m++) {
        for (size_t n = 0; n < s.N; n++) {
            double sum = 0, magnitude = 0;
            for (size_t k = 0; k < s.K; k++) {
                const double product = f16_value(job.a[job.a_at.index(m, k)]) * f16_value(job.w[job.w_at.index(n, k)]);
                sum += product;
                magnitude += std::fabs(product);
            }
            const bool inside = n >= s.n_begin && n < s.n_end;
            ASSERT_NEAR(job.out[job.o_at.index(m, n)], inside ? sum : -77.0, inside ? bound * magnitude : 0)
                << "row " << m << " column " << n;
        }
    }
}

TEST_P(per_isa, i8_random) {
    std::mt19937 random(test_seed);
    for (const shape & s : shapes(32))
        check_i8(s, [&] { return int(random() >> 8 & 255) - 128; });
}

TEST_P(per_isa, i8_extremes) {
    for (size_t M : {1, 4, 9}) {
        for (int a : {-128, 127}) {
            for (int w : {-128, 127}) {
                size_t i = 0;
                const shape s = {M, 8192, 32, 0, 32};
                check_i8(s, [&] { return i++ < s.M * s.K ? a : w; });
            }
        }
    }
}

TEST_P(per_isa, i4_random) {
    std::mt19937 random(test_seed);
    for (const shape & s : shapes(64))
        check_i4(s, [&] { return int(random() >> 8 & 255); });
}

TEST_P(per_isa, i4_saturates) {
    // 0x88 is a pair of -8, 0x77 a pair of 7; 8192 * 64 and 8192 * -56 are far outside of i16, 512 * 64 = 32768 just.
    for (size_t K : {480, 512, 8192}) {
        for (int w : {0x88, 0x77}) {
            size_t i = 0;
            const shape s = {3, K, 64, 0, 64};
            check_i4(s, [&] { return i++ < s.M * s.K / 2 ? 0x88 : w; });
        }
    }
}

TEST_P(per_isa, f16_small_integers_are_exact) {
    std::mt19937 random(test_seed);
    for (const shape & s : shapes(16)) {
        check_f16(s, 0, [&] { return f16_nearest(float(int(random() >> 8 & 15) - 8)); });
    }
}

TEST_P(per_isa, f16_random_is_within_the_error_of_f32_sums) {
    std::mt19937 random(test_seed);
    std::normal_distribution<float> normal(0, 1);
    for (const shape & s : shapes(16)) {
        check_f16(s, double(s.K) * 0x1p-24, [&] { return f16_nearest(normal(random)); });
    }
}

TEST_P(per_isa, f16_subnormals_are_exact) {
    std::mt19937 random(test_seed);
    for (size_t M : {1, 9}) {
        // 32 products of at most 2^20 units of 2^-48 would need 25 bits; 9-bit mantissas leave room.
        check_f16({M, 32, 32, 0, 32}, 0, [&] { return uint16_t((random() >> 8 & 511) | (random() & 0x8000)); });
    }
}

TEST_P(per_isa, f16_infinity_and_nan_propagate) {
    for (size_t M : {1, 9}) {
        const shape s = {M, 64, 32, 0, 32};
        f16_job job(s);
        std::fill(job.a.begin(), job.a.end(), f16_nearest(1));
        std::fill(job.w.begin(), job.w.end(), f16_nearest(1));
        job.w[job.w_at.index(3, 40)] = 0x7c00;
        job.w[job.w_at.index(7, 63)] = 0xfc00;
        job.w[job.w_at.index(20, 0)] = 0x7e00;
        job.run(s);
        for (size_t m = 0; m < M; m++) {
            for (size_t n = 0; n < 32; n++) {
                const float y = job.out[job.o_at.index(m, n)];
                if (n == 20)
                    EXPECT_TRUE(std::isnan(y));
                else
                    EXPECT_EQ(y, n == 3 ? INFINITY : n == 7 ? -INFINITY : 64.0f) << n;
            }
        }
    }
}

} // namespace
