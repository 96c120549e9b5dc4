// Products of every type and layout against plain triple loops. Operands are chosen so that all sums are exact, hence
// the comparison is equality; larger operands test overflow.
#include "support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace emulator_test {
namespace {

struct product_case {
    int type, M, K, N;
};

class products : public ::testing::TestWithParam<product_case> {};

TEST_P(products, equal_the_triple_loop_in_all_layouts) {
    const product_case p = GetParam();
    for (const int b_layout : {abi::layout_native, abi::layout_tp_norm, abi::layout_norm})
        for (const int ac_layout : {abi::layout_native, abi::layout_norm}) {
            if (p.type == abi::i4_i4_to_i16 && b_layout == abi::layout_norm) continue; // refused by default
            const uint64_t seed = uint64_t(p.type * 1000 + p.M + b_layout * 10 + ac_layout);
            SCOPED_TRACE("seed " + std::to_string(seed) + " B layout " + std::to_string(b_layout) + " AC layout " +
                         std::to_string(ac_layout));
            rig r(info(p.type, p.M, p.K, p.N, b_layout, ac_layout));
            r.fill(seed);
            ASSERT_EQ(r.bind_run_sync(), 0);
            ASSERT_EQ(r.output(), r.reference());
        }
}

INSTANTIATE_TEST_SUITE_P(
    shapes, products,
    ::testing::Values(product_case{abi::f16_f16_to_f32, 1, 32, 16}, product_case{abi::f16_f16_to_f32, 7, 96, 80},
                      product_case{abi::i8_i8_to_i32, 1, 32, 32}, product_case{abi::i8_i8_to_i32, 7, 160, 96},
                      product_case{abi::i8_i8_to_i32, 33, 2048, 1056}, // several pieces
                      product_case{abi::i4_i4_to_i16, 1, 32, 64}, product_case{abi::i4_i4_to_i16, 5, 160, 192},
                      product_case{abi::i8_i8_to_i8, 3, 64, 64}, product_case{abi::f16_f16_to_f16, 3, 64, 48},
                      // K in two segments, the second shorter
                      product_case{abi::i8_i8_to_i32, 3, 8192 + 96, 64},
                      product_case{abi::f16_f16_to_f32, 2, 8192 + 32, 32},
                      product_case{abi::i4_i4_to_i16, 2, 8192 + 64, 64}),
    [](const auto & test) {
        const product_case & p = test.param;
        return "type" + std::to_string(p.type) + "_M" + std::to_string(p.M) + "_K" + std::to_string(p.K) + "_N" +
               std::to_string(p.N);
    });

TEST(products_of_large_operands, i8_is_exact) {
    rig r(info(abi::i8_i8_to_i32, 5, 4096, 96));
    r.fill(1, true);
    ASSERT_EQ(r.bind_run_sync(), 0);
    EXPECT_EQ(r.output(), r.reference());
}

TEST(products_of_large_operands, i8_to_i8_saturates) {
    rig r(info(abi::i8_i8_to_i8, 5, 64, 96));
    r.fill(2, true);
    ASSERT_EQ(r.bind_run_sync(), 0);
    std::vector<double> expected = r.reference();
    for (double & x : expected)
        x = std::clamp(x, -128.0, 127.0);
    EXPECT_EQ(r.output(), expected);
}

// All codes 7 but for a last quarter of -7: sums pass 32767 on the way and end at 49 * K / 2.
int print_overflow() {
    constexpr int K = 2048;
    rig r(info(abi::i4_i4_to_i16, 1, K, 64));
    r.a_codes.assign(K, 7);
    auto * a = static_cast<uint8_t *>(r.a->virt_addr);
    auto * b = static_cast<uint8_t *>(r.b->virt_addr);
    std::fill(a, a + K / 2, uint8_t(0x77));
    for (size_t i = 0; i < size_t(K) * 32; i++) // tiles of 64 x 32 codes lie in the order of k
        b[i] = i < size_t(K) * 24 ? 0x77 : 0x99;
    if (r.bind_run_sync() != 0) return 1;
    std::printf("%d", int(r.output()[0]));
    return 0;
}

EMULATOR_SCENARIO(i4_overflow) {
    return print_overflow();
}

TEST(products_of_large_operands, i4_overflow_follows_the_setting) {
    const int true_sum = 49 * 2048 / 2; // 50176
    EXPECT_EQ(run_child("i4_overflow").out, "32767");
    EXPECT_EQ(run_child("i4_overflow", {{"RKNN_EMU_I4_OVERFLOW", "saturate-final"}}).out, "32767");
    EXPECT_EQ(run_child("i4_overflow", {{"RKNN_EMU_I4_OVERFLOW", "wrap"}}).out, std::to_string(true_sum - 65536));
    EXPECT_EQ(run_child("i4_overflow", {{"RKNN_EMU_I4_OVERFLOW", "saturate-running"}}).out,
              std::to_string(32767 - 49 * 512));
}

TEST(conversion_helper, makes_the_native_layout) {
    for (const int type : {int(abi::i8_i8_to_i32), int(abi::f16_f16_to_f32), int(abi::i4_i4_to_i16)}) {
        SCOPED_TRACE(type);
        rig r(info(type, 3, 96, 128));
        r.fill(3);
        // NORM B as the helper takes it: i4 with one code a byte
        rig norm(info(type == abi::i4_i4_to_i16 ? abi::i8_i8_to_i32 : type, 1, 96, 128, abi::layout_norm));
        auto * bytes = static_cast<uint8_t *>(norm.b->virt_addr);
        for (size_t k = 0; k < 96; k++)
            for (size_t n = 0; n < 128; n++) {
                const int code = r.b_codes[n * 96 + k];
                if (type != abi::f16_f16_to_f32) {
                    bytes[k * 128 + n] = uint8_t(int8_t(code));
                    continue;
                }
                const uint16_t half = code == 0 ? 0 : uint16_t((code < 0 ? 0x8000 : 0) | 0x3000); // 0 or +-1/8
                std::copy_n(reinterpret_cast<const uint8_t *>(&half), 2, bytes + (k * 128 + n) * 2);
            }
        std::vector<uint8_t> native(r.io.B.size);
        ASSERT_EQ(rt().convert_b(bytes, native.data(), 96, 128, &r.what), 0);
        EXPECT_TRUE(std::equal(native.begin(), native.end(), static_cast<const uint8_t *>(r.b->virt_addr)));
    }
}

TEST(attributes, describe_names_dimensions_sizes_and_types) {
    const rig native(info(abi::i8_i8_to_i32, 5, 64, 96));
    EXPECT_STREQ(native.io.A.name, "A");
    EXPECT_STREQ(native.io.C.name, "C");
    auto dims = [](const abi::matmul_tensor_attr & a) { return std::vector<uint32_t>(a.dims, a.dims + a.n_dims); };
    EXPECT_EQ(dims(native.io.A), (std::vector<uint32_t>{4, 5, 16}));
    EXPECT_EQ(dims(native.io.B), (std::vector<uint32_t>{3, 2, 32, 32}));
    EXPECT_EQ(dims(native.io.C), (std::vector<uint32_t>{24, 5, 4}));
    EXPECT_EQ(native.io.C.size, 5u * 96 * 4);
    EXPECT_EQ(native.io.C.type, abi::type_i32);
    const rig i4(info(abi::i4_i4_to_i16, 5, 64, 128, abi::layout_tp_norm, abi::layout_norm));
    EXPECT_EQ(dims(i4.io.A), (std::vector<uint32_t>{5, 64}));
    EXPECT_EQ(dims(i4.io.B), (std::vector<uint32_t>{128, 64}));
    EXPECT_EQ(i4.io.B.size, 64u * 128 / 2);
}

TEST(dynamic_shapes, share_b_and_switch_m) {
    abi::matmul_info i = info(abi::i8_i8_to_i32, 0, 64, 64);
    abi::matmul_shape shapes[] = {{2, 64, 64}, {7, 64, 64}};
    abi::matmul_io_attr io[2] = {};
    abi::context ctx = 0;
    ASSERT_EQ(rt().create_dynamic_shape(&ctx, &i, 2, shapes, io), 0);
    rig large(info(abi::i8_i8_to_i32, 7, 64, 64)), small(info(abi::i8_i8_to_i32, 2, 64, 64));
    large.fill(4), large.sync_inputs();
    small.fill(5), small.b_codes = large.b_codes, small.sync_inputs();
    ASSERT_EQ(rt().matmul_set_io_mem(ctx, large.b, &io[0].B), 0);
    for (int s = 0; s < 2; s++) {
        rig & r = s == 0 ? small : large;
        ASSERT_EQ(rt().set_dynamic_shape(ctx, &shapes[s]), 0);
        ASSERT_EQ(rt().matmul_set_io_mem(ctx, r.a, &io[s].A), 0);
        ASSERT_EQ(rt().matmul_set_io_mem(ctx, r.c, &io[s].C), 0);
        ASSERT_EQ(rt().matmul_run(ctx), 0);
        r.sync_output();
        EXPECT_EQ(r.output(), r.reference());
    }
    abi::matmul_shape unknown = {3, 64, 64};
    EXPECT_EQ(rt().set_dynamic_shape(ctx, &unknown), abi::param_invalid);
    rt().matmul_destroy(ctx);
}

TEST(cores, three_contexts_in_three_threads) {
    const rknn_emu_stats before = stats();
    std::vector<std::thread> threads;
    for (int core = 0; core < 3; core++)
        threads.emplace_back([core] {
            rig r(info(abi::i8_i8_to_i32, 17, 512, 512));
            ASSERT_EQ(rt().matmul_set_core_mask(r.ctx, 1 << core), 0);
            r.fill(uint64_t(core) + 10);
            r.sync_inputs();
            ASSERT_EQ(r.bind(), 0);
            for (int i = 0; i < 10; i++) {
                ASSERT_EQ(r.run(), 0);
                r.sync_output();
                ASSERT_EQ(r.output(), r.reference());
            }
        });
    for (std::thread & t : threads)
        t.join();
    const rknn_emu_stats after = stats();
    for (int core = 0; core < 3; core++)
        EXPECT_EQ(after.runs_of_core[core] - before.runs_of_core[core], 10u);
    EXPECT_EQ(after.misuses, before.misuses);
}

} // namespace
} // namespace emulator_test
