// Codes and scales of fixed weights are those of this conversion_version: otherwise packed weights on people's disks
// would go on being used although a conversion gives others now.
//
// When this fails after a wished change: raise conversion_version (numerics/weight.h) and write the new hashes here.
#include "base/hash.h"
#include "numerics/balance.h"
#include "numerics/weight.h"

#include <gtest/gtest.h>

namespace rknpu {
namespace {

// Rows with an outlier channel, from a plain congruential generator: the same floats everywhere.
std::vector<float> fixed_rows(size_t N, size_t K) {
    std::vector<float> rows(N * K);
    uint32_t state = 12345;
    for (size_t i = 0; i < rows.size(); i++) {
        float sum = 0;
        for (int j = 0; j < 4; j++) {
            state = state * 1664525 + 1013904223;
            sum += float(state >> 16) - 32768.0f;
        }
        rows[i] = sum / 524288.0f * (i % K == 7 ? 32.0f : 1.0f);
    }
    return rows;
}

std::string hash_of_conversion(format f) {
    constexpr size_t N = 64, K = 512;
    plan_settings wishes;
    wishes.formats = policy::parse(format_name(f)).value();
    const matmul_plan plan =
        plan_weight({"blk.0.attn_output.weight", K, N}, *find_chip("rk3588").value(), wishes).value();
    EXPECT_EQ(plan.numeric_format, f);
    std::vector<float> rows = fixed_rows(N, K);
    basis in;
    in.rotate = make_rotation(K, plan.rotation_block, plan.rotation_seed);
    const row_source source = [&](size_t n, float * row) { std::copy_n(&rows[n * K], K, row); };
    if (plan.balance) in.balance = balance_columns({{source, N}}, K, {});
    std::vector<uint8_t> codes(plan.matrix_bytes());
    std::vector<float> scales(plan.segments.size() * N);
    std::vector<uint8_t *> native;
    for (size_t i = 0, at = 0; i < plan.segments.size(); at += plan.segment_bytes(i++))
        native.push_back(&codes[at]);
    EXPECT_EQ(pack_weight_rows(plan, in, {}, 0, N, rows.data(), K, {native.data(), scales.data()}), packing::done);
    wide_hasher h;
    h.add(codes.data(), codes.size());
    h.add(scales.data(), scales.size() * sizeof(float));
    h.add(in.balance.data(), in.balance.size() * sizeof(float));
    return h.value().text();
}

TEST(conversion_version, codes_of_fixed_weights_are_those_of_this_version) {
#ifndef __x86_64__
    GTEST_SKIP() << "other machines may round sums in another order";
#endif
    ASSERT_EQ(conversion_version, 1);
    EXPECT_EQ(hash_of_conversion(format::w16a16), "e61ae8de48cbb87bdbb28396a8d1d699");
    EXPECT_EQ(hash_of_conversion(format::w8a8), "adf95648eb401a52cb5aac1edccf0baa");
    EXPECT_EQ(hash_of_conversion(format::w8a16), hash_of_conversion(format::w8a8)) << "the same 8-bit codes";
    EXPECT_EQ(hash_of_conversion(format::w4a8), "678fc2a19d8e0677ab0a7627dac6ed87");
    EXPECT_EQ(hash_of_conversion(format::w4a4), hash_of_conversion(format::w4a8)) << "the same 4-bit codes";
}

} // namespace
} // namespace rknpu
