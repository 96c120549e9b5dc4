// What every device must do, whatever driver is behind it. On a board: RKNPU_TEST_RUNTIME=/usr/lib/librknnrt.so.
#include "layout/layout.h"
#include "support/emulated.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

namespace rknpu {
namespace {

device & npu() {
    static device & opened = *test::open_device().release();
    return opened;
}

// Codes of a matrix by row and column, and their place in memory. f16 codes are units of 1/8, small enough to be exact.
struct matrix {
    size_t rows, columns;
    std::vector<int> codes;
    int at(size_t r, size_t c) const { return codes[r * columns + c]; }
};

matrix random_matrix(std::mt19937 & random, size_t rows, size_t columns, int limit) {
    matrix m{rows, columns, std::vector<int>(rows * columns)};
    std::uniform_int_distribution<int> any(-limit, limit);
    for (auto & c : m.codes)
        c = any(random);
    return m;
}

uint16_t half_of(float value) { // exact for the small values used here
    if (value == 0) return 0;
    int exponent;
    const float fraction = std::frexp(std::fabs(value), &exponent);
    return uint16_t((value < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | (int(std::ldexp(fraction, 11)) & 0x3ff));
}

void put(element type, uint8_t * memory, size_t index, int code) {
    if (type == element::f16) {
        const uint16_t half = half_of(float(code) / 8);
        std::memcpy(memory + 2 * index, &half, 2);
    } else if (type == element::i8) {
        memory[index] = uint8_t(int8_t(code));
    } else {
        const int shift = index % 2 ? 4 : 0;
        memory[index / 2] = uint8_t((memory[index / 2] & ~(15 << shift)) | (code & 15) << shift);
    }
}

double get(element type, const uint8_t * memory, size_t index) {
    if (type == element::f16) {
        float v;
        std::memcpy(&v, memory + 4 * index, 4);
        return v;
    }
    if (type == element::i8) {
        int32_t v;
        std::memcpy(&v, memory + 4 * index, 4);
        return v;
    }
    int16_t v;
    std::memcpy(&v, memory + 2 * index, 2);
    return v;
}

// One job with its memories.
struct rig {
    job_shape shape;
    std::unique_ptr<device_memory> a, w, o;
    std::unique_ptr<job_context> context;

    rig(const job_shape & s, int core) : shape(s) {
        a = std::move(npu().allocate(s.activation_bytes(), 0).value());
        w = std::move(npu().allocate(s.weight_bytes(), 0).value());
        o = std::move(npu().allocate(s.output_bytes(), 0).value());
        auto created = npu().create_context(s, core, 0);
        EXPECT_TRUE(created.ok()) << created.status().message();
        context = std::move(created.value());
    }
    const tile_shape & tile() const { return npu().info().soc->tile(shape.type); }
    void set_activation(const matrix & m) {
        const activation_layout layout(tile(), shape.M, shape.K);
        for (size_t r = 0; r < m.rows; r++) {
            for (size_t k = 0; k < m.columns; k++)
                put(shape.type, a->data(), layout.index(r, k), m.at(r, k));
        }
        EXPECT_TRUE(npu().sync(*a, sync_direction::to_device).ok());
    }
    void write_weight(device_memory & memory, const matrix & m) const {
        const weight_layout layout(tile(), shape.N, shape.K);
        for (size_t n = 0; n < m.rows; n++) {
            for (size_t k = 0; k < m.columns; k++)
                put(shape.type, memory.data(), layout.index(n, k), m.at(n, k));
        }
    }
    void set_weight(device_memory & memory, const matrix & m) const {
        write_weight(memory, m);
        EXPECT_TRUE(npu().sync(memory, sync_direction::to_device).ok());
    }
    std::vector<double> multiply(device_memory & weight) {
        EXPECT_TRUE(context->bind(*a, weight, *o).ok());
        const status ran = context->run();
        EXPECT_TRUE(ran.ok()) << ran.message();
        EXPECT_TRUE(npu().sync(*o, sync_direction::from_device).ok());
        const output_layout layout(tile(), shape.M, shape.N);
        std::vector<double> values;
        for (size_t m = 0; m < shape.M; m++) {
            for (size_t n = 0; n < shape.N; n++)
                values.push_back(get(shape.type, o->data(), layout.index(m, n)));
        }
        return values;
    }
};

std::vector<double> expected(element type, const matrix & a, const matrix & w) {
    std::vector<double> values;
    for (size_t m = 0; m < a.rows; m++) {
        for (size_t n = 0; n < w.rows; n++) {
            long sum = 0;
            for (size_t k = 0; k < a.columns; k++)
                sum += long(a.at(m, k)) * w.at(n, k);
            values.push_back(type == element::f16 ? double(sum) / 64 : double(sum));
        }
    }
    return values;
}

// Codes small enough that every partial sum is exact in f32 and in i16.
int code_limit(element type, size_t K) {
    return type == element::i4 ? std::min(7, int(std::sqrt(32767.0 / double(K)))) : type == element::i8 ? 127 : 8;
}

class conformance : public testing::TestWithParam<std::tuple<element, size_t, size_t, size_t>> {};

TEST_P(conformance, product_is_exact) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto [type, M, K, N] = GetParam();
    for (int core = 0; core < npu().info().soc->n_cores; core++) {
        rig r({type, M, K, N}, core);
        const int limit = code_limit(type, K);
        const matrix a = random_matrix(random, M, K, limit), w = random_matrix(random, N, K, limit);
        r.set_activation(a);
        r.set_weight(*r.w, w);
        EXPECT_EQ(r.multiply(*r.w), expected(type, a, w)) << "core " << core;
    }
}

std::string shape_name(const testing::TestParamInfo<conformance::ParamType> & info) {
    const auto [type, M, K, N] = info.param;
    return std::string(element_name(type)) + "_m" + std::to_string(M) + "_k" + std::to_string(K) + "_n" +
           std::to_string(N);
}

INSTANTIATE_TEST_SUITE_P(shapes, conformance,
                         testing::Combine(testing::Values(element::f16, element::i8, element::i4),
                                          testing::Values(1, 3, 32, 128), testing::Values(32, 320, 2048),
                                          testing::Values(64, 192)),
                         shape_name);
INSTANTIATE_TEST_SUITE_P(long_sums, conformance,
                         testing::Combine(testing::Values(element::f16, element::i8, element::i4),
                                          testing::Values(1, 8), testing::Values(8192), testing::Values(64)),
                         shape_name);

TEST(device, says_what_it_is) {
    EXPECT_FALSE(npu().info().description.empty());
    EXPECT_FALSE(npu().info().runtime_version.empty());
    EXPECT_EQ(npu().info().emulated, !std::getenv("RKNPU_TEST_RUNTIME"));
}

TEST(device, weights_at_offsets_of_one_allocation_are_bound_in_turn) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    rig r({element::i8, 8, 256, 96}, 0);
    const size_t bytes = r.shape.weight_bytes(), stride = (bytes + 4095) / 4096 * 4096;
    auto pool = std::move(npu().allocate(4 * stride, 0).value());
    const matrix a = random_matrix(random, 8, 256, 127);
    r.set_activation(a);
    std::vector<matrix> weights;
    std::vector<std::unique_ptr<device_memory>> views;
    for (size_t i = 0; i < 4; i++) {
        weights.push_back(random_matrix(random, 96, 256, 127));
        views.push_back(std::move(npu().view(*pool, i * stride, bytes).value()));
        r.write_weight(*views.back(), weights.back());
    }
    EXPECT_TRUE(npu().sync(*pool, sync_direction::to_device).ok());
    for (const size_t i : {2, 0, 3, 1, 1, 2})
        EXPECT_EQ(r.multiply(*views[i]), expected(element::i8, a, weights[i])) << i;
}

TEST(device, a_later_memory_is_not_mistaken_for_the_one_bound_before) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    rig r({element::i8, 1, 64, 64}, 0);
    auto pool = std::move(npu().allocate(65536, 0).value());
    const matrix a = random_matrix(random, 1, 64, 127);
    r.set_activation(a);
    // Windows come and go at addresses that the runtime's allocator uses again; so do whole models.
    for (int i = 0; i < 20; i++) {
        const auto view = std::move(npu().view(*pool, size_t(i % 3) * 8192, r.shape.weight_bytes()).value());
        const matrix w = random_matrix(random, 64, 64, 127);
        r.write_weight(*view, w);
        EXPECT_TRUE(npu().sync(*pool, sync_direction::to_device).ok());
        EXPECT_EQ(r.multiply(*view), expected(element::i8, a, w)) << i;
    }
}

TEST(device, a_row_does_not_depend_on_the_rows_beside_it) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const matrix w = random_matrix(random, 64, 512, 127);
    const matrix many = random_matrix(random, 32, 512, 127);
    rig r32({element::i8, 32, 512, 64}, 0), r1({element::i8, 1, 512, 64}, 0);
    r32.set_activation(many);
    r32.set_weight(*r32.w, w);
    r1.set_weight(*r1.w, w);
    const auto all = r32.multiply(*r32.w);
    for (const size_t row : {0, 13, 31}) {
        const auto * begin = many.codes.data() + row * 512;
        r1.set_activation({1, 512, std::vector<int>(begin, begin + 512)});
        const auto one = r1.multiply(*r1.w);
        EXPECT_TRUE(std::equal(one.begin(), one.end(), all.begin() + long(row * 64))) << row;
    }
}

TEST(device, cores_work_at_the_same_time) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const int n_cores = npu().info().soc->n_cores;
    std::vector<std::unique_ptr<rig>> rigs;
    std::vector<std::vector<double>> wanted;
    for (int core = 0; core < n_cores; core++) {
        rigs.push_back(std::make_unique<rig>(job_shape{element::i8, 8, 1024, 256}, core));
        const matrix a = random_matrix(random, 8, 1024, 127), w = random_matrix(random, 256, 1024, 127);
        rigs.back()->set_activation(a);
        rigs.back()->set_weight(*rigs.back()->w, w);
        wanted.push_back(expected(element::i8, a, w));
    }
    std::vector<std::thread> threads;
    std::vector<int> wrong(size_t(n_cores), 0);
    for (int core = 0; core < n_cores; core++) {
        threads.emplace_back([&, core] {
            for (int i = 0; i < 20; i++)
                wrong[size_t(core)] += rigs[size_t(core)]->multiply(*rigs[size_t(core)]->w) != wanted[size_t(core)];
        });
    }
    for (auto & t : threads)
        t.join();
    EXPECT_EQ(wrong, std::vector<int>(size_t(n_cores), 0));
}

TEST(device, impossible_shapes_get_a_status) {
    EXPECT_FALSE(npu().create_context({element::i8, 1, 33, 64}, 0, 0).ok());
    EXPECT_FALSE(npu().create_context({element::i4, 1, 64, 32}, 0, 0).ok());
    EXPECT_FALSE(npu().create_context({element::i8, 0, 64, 64}, 0, 0).ok());
    EXPECT_FALSE(npu().create_context({element::i8, 1, 64, 64}, 0, 99).ok());
    EXPECT_FALSE(npu().allocate(size_t(3) << 30, 0).ok());
}

TEST(device, objects_come_and_go_without_running_out) {
    for (int i = 0; i < 300; i++) {
        rig r({element::i8, 1, 64, 64}, i % npu().info().soc->n_cores);
        auto view = npu().view(*r.w, 0, r.shape.weight_bytes());
        ASSERT_TRUE(view.ok()) << i;
    }
}

} // namespace
} // namespace rknpu
