// Every documented refusal with its code, and that a refusal leaves a line.
#include "support.h"

#include <gtest/gtest.h>

namespace emulator_test {
namespace {

constexpr int i8 = abi::i8_i8_to_i32;

TEST(refusals, types_that_rk3588_lacks) {
    for (const int type : {1, 2, 3, 4, 9, 10})
        EXPECT_EQ(create_code(info(type, 1, 64, 64)), 0) << type;
    for (const int type : {-1, 0, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16})
        EXPECT_EQ(create_code(info(type, 1, 64, 64)), abi::param_invalid) << type;
}

TEST(refusals, alignment_of_k_and_n) {
    struct limit {
        int type, k, n;
    };
    for (const limit l : {limit{1, 32, 16}, limit{2, 32, 32}, limit{10, 32, 64}}) {
        EXPECT_EQ(create_code(info(l.type, 1, 2 * l.k, 3 * l.n)), 0) << l.type;
        EXPECT_EQ(create_code(info(l.type, 1, l.k + l.k / 2, l.n)), abi::param_invalid) << l.type;
        EXPECT_EQ(create_code(info(l.type, 1, l.k, l.n + l.n / 2)), abi::param_invalid) << l.type;
    }
}

TEST(refusals, sizes_that_are_not_positive_or_too_large) {
    for (const int bad : {0, -32}) {
        EXPECT_EQ(create_code(info(i8, bad, 32, 32)), abi::param_invalid);
        EXPECT_EQ(create_code(info(i8, 1, bad, 32)), abi::param_invalid);
        EXPECT_EQ(create_code(info(i8, 1, 32, bad)), abi::param_invalid);
    }
    EXPECT_EQ(create_code(info(i8, 1, 1 << 20, 1 << 20)), abi::param_invalid);
}

TEST(refusals, layouts_and_quant_types) {
    EXPECT_EQ(create_code(info(i8, 1, 32, 32, 3)), abi::param_invalid);
    EXPECT_EQ(create_code(info(i8, 1, 32, 32, abi::layout_native, abi::layout_tp_norm)), abi::param_invalid);
    EXPECT_EQ(create_code(info(abi::i4_i4_to_i16, 1, 32, 64, abi::layout_norm)), abi::param_invalid);
    abi::matmul_info per_channel = info(abi::i8_i8_to_f32, 1, 32, 32);
    per_channel.B_quant_type = 2;
    EXPECT_EQ(create_code(per_channel), abi::param_invalid);
    abi::matmul_info quantized_a = info(i8, 1, 32, 32);
    quantized_a.AC_quant_type = 1;
    EXPECT_EQ(create_code(quantized_a), abi::param_invalid);
}

TEST(refusals, domains) {
    EXPECT_EQ(create_code(info(i8, 1, 32, 32, abi::layout_native, abi::layout_native, 15)), 0);
    EXPECT_EQ(create_code(info(i8, 1, 32, 32, abi::layout_native, abi::layout_native, 16)), abi::param_invalid);
    EXPECT_EQ(create_code(info(i8, 1, 32, 32, abi::layout_native, abi::layout_native, -1)), abi::param_invalid);
}

TEST(refusals, null_arguments) {
    rig r(info(i8, 1, 32, 32));
    abi::context ctx = 0;
    abi::matmul_io_attr io{};
    EXPECT_EQ(rt().matmul_create(nullptr, &r.what, &io), abi::param_invalid);
    EXPECT_EQ(rt().matmul_create(&ctx, nullptr, &io), abi::param_invalid);
    EXPECT_EQ(rt().matmul_create(&ctx, &r.what, nullptr), abi::param_invalid);
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, nullptr, &r.io.A), abi::param_invalid);
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, r.a, nullptr), abi::param_invalid);
    EXPECT_EQ(rt().mem_sync(r.ctx, nullptr, abi::sync_to_device), abi::param_invalid);
    EXPECT_EQ(rt().destroy_mem(r.ctx, nullptr), abi::param_invalid);
    EXPECT_EQ(rt().query(r.ctx, abi::query_sdk_version, nullptr, 512), abi::param_invalid);
    EXPECT_EQ(rt().set_dynamic_shape(r.ctx, nullptr), abi::param_invalid);
    EXPECT_EQ(rt().convert_b(nullptr, nullptr, 32, 32, &r.what), abi::param_invalid);
    EXPECT_EQ(rt().create_mem_from_phys(r.ctx, 4096, &io, 4096), nullptr);
}

TEST(refusals, unknown_and_destroyed_contexts) {
    rig r(info(i8, 1, 32, 32));
    abi::context gone = 0;
    abi::matmul_io_attr io{};
    ASSERT_EQ(rt().matmul_create(&gone, &r.what, &io), 0);
    ASSERT_EQ(rt().matmul_destroy(gone), 0);
    abi::sdk_version version{};
    for (const abi::context bad : {abi::context(0), abi::context(12345), gone}) {
        EXPECT_EQ(rt().matmul_run(bad), abi::ctx_invalid);
        EXPECT_EQ(rt().matmul_destroy(bad), abi::ctx_invalid);
        EXPECT_EQ(rt().matmul_set_core_mask(bad, 1), abi::ctx_invalid);
        EXPECT_EQ(rt().matmul_set_io_mem(bad, r.a, &r.io.A), abi::ctx_invalid);
        EXPECT_EQ(rt().mem_sync(bad, r.a, abi::sync_to_device), abi::ctx_invalid);
        EXPECT_EQ(rt().query(bad, abi::query_sdk_version, &version, sizeof(version)), abi::ctx_invalid);
        EXPECT_EQ(rt().create_mem(bad, 4096), nullptr);
    }
}

TEST(refusals, core_masks) {
    const rig r(info(i8, 1, 32, 32));
    for (const int good : {0, 1, 2, 4})
        EXPECT_EQ(rt().matmul_set_core_mask(r.ctx, good), 0) << good;
    for (const int bad : {3, 7, 5, 8, -1})
        EXPECT_EQ(rt().matmul_set_core_mask(r.ctx, bad), abi::fail) << bad;
}

TEST(refusals, run_needs_all_three_bindings) {
    rig r(info(i8, 1, 32, 32));
    r.fill(1);
    EXPECT_EQ(r.run(), abi::input_invalid);
    ASSERT_EQ(r.bind("A"), 0);
    EXPECT_EQ(r.run(), abi::input_invalid);
    ASSERT_EQ(r.bind("B"), 0);
    EXPECT_EQ(r.run(), abi::output_invalid);
    ASSERT_EQ(r.bind("C"), 0);
    EXPECT_EQ(r.run(), 0);
}

TEST(refusals, memory_too_small_or_of_another_domain) {
    rig r(info(i8, 1, 64, 64));
    const rig other(info(i8, 1, 64, 64, abi::layout_native, abi::layout_native, 1));
    abi::tensor_mem * small = rt().create_mem(r.ctx, r.io.B.size - 1);
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, small, &r.io.B), abi::param_invalid);
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, other.b, &r.io.B), abi::malloc_fail);
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, r.b, &r.io.B), 0);
    rt().destroy_mem(r.ctx, small);
}

TEST(refusals, attribute_of_something_else) {
    rig r(info(i8, 1, 64, 64));
    abi::matmul_tensor_attr attr = r.io.B;
    attr.name[0] = 'D';
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, r.b, &attr), abi::param_invalid);
    attr = r.io.B;
    attr.size /= 2;
    EXPECT_EQ(rt().matmul_set_io_mem(r.ctx, r.b, &attr), abi::param_invalid);
}

TEST(refusals, type_9_is_created_and_fails_to_run) {
    rig r(info(abi::i8_i8_to_f32, 1, 32, 32));
    r.fill(1);
    EXPECT_EQ(r.bind_run_sync(), abi::fail);
}

TEST(quant_params, per_channel_on_i8_to_i32_gives_zeros_and_reads_back) {
    abi::matmul_info i = info(i8, 2, 32, 32);
    i.B_quant_type = 2;
    rig r(i);
    r.fill(1);
    std::vector<float> scales(32, 0.5f), back(32);
    abi::quant_params params{};
    params.name[0] = 'B';
    params.scale = scales.data();
    params.scale_len = 31;
    EXPECT_EQ(rt().set_quant_params(r.ctx, &params), abi::param_invalid);
    params.scale_len = 32;
    ASSERT_EQ(rt().set_quant_params(r.ctx, &params), 0);
    float scale = 0;
    params.scale = back.data();
    ASSERT_EQ(rt().get_quant_params(r.ctx, &params, &scale), 0);
    EXPECT_EQ(back, scales);
    ASSERT_EQ(r.bind_run_sync(), 0);
    EXPECT_EQ(r.output(), std::vector<double>(64, 0.0));
}

TEST(queries, say_emulator) {
    const rig r(info(i8, 1, 32, 32));
    abi::sdk_version version{};
    ASSERT_EQ(rt().query(r.ctx, abi::query_sdk_version, &version, sizeof(version)), 0);
    EXPECT_STREQ(version.api_version, "2.3.2 (emulator, no hardware)");
    EXPECT_STREQ(version.drv_version, "emulated rknpu 0.9.8 rk3588");
    EXPECT_EQ(rt().query(r.ctx, abi::query_sdk_version, &version, sizeof(version) - 1), abi::param_invalid);
    EXPECT_EQ(rt().query(r.ctx, 0, &version, sizeof(version)), abi::param_invalid);
    abi::mem_size sizes{};
    ASSERT_EQ(rt().query(r.ctx, abi::query_mem_size, &sizes, sizeof(sizes)), 0);
    EXPECT_GE(sizes.total_dma_allocated_size, 3u * 4096);
    EXPECT_NE(std::string(rt().version()).find("emulated"), std::string::npos);
}

EMULATOR_SCENARIO(refused_twice) {
    create_code(info(abi::f16_i8_to_f32, 1, 32, 32));
    const rig r(info(i8, 1, 32, 32));
    rt().matmul_set_core_mask(r.ctx, 3);
    std::printf("%d", int(stats().refusals));
    return 0;
}

TEST(refusals, are_logged_in_the_words_of_the_vendor_and_counted) {
    const child_result said = run_child("refused_twice");
    EXPECT_NE(said.err.find("rknn-emu: unsupported matmul dtype: FLOAT16_MM_INT8_TO_FLOAT32 in this platform\n"),
              std::string::npos)
        << said.err;
    EXPECT_NE(said.err.find("rknn-emu: Not support core mask: 3, fallback to single core auto mode\n"),
              std::string::npos);
    EXPECT_EQ(said.out, "2");
    EXPECT_EQ(run_child("refused_twice", {{"RKNN_EMU_LOG", "0"}}).err, "");
}

} // namespace
} // namespace emulator_test
