// Codes and scales of fixed weights are those of this conversion_version: otherwise packed weights on people's disks
// would go on being used although a conversion gives others now.
//
// When this fails after a wished change: raise conversion_version (numerics/weight.h) and write the new hashes here.
#include "kernels/targets.h"

#include <hwy/detect_targets.h>
#include <hwy/targets.h>

#include "base/hash.h"
#include "kernels/kernels.h"
#include "numerics/balance.h"
#include "numerics/weight-feedback.h"
#include "numerics/weight.h"

#include <gtest/gtest.h>

#include <optional>

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

enum class errors { each_alone, by_weights, by_moments };

// Of an activation whose neighbouring columns go together.
std::vector<float> fixed_moments(size_t K) {
    std::vector<float> H(K * K, 0.0f);
    for (size_t i = 0; i < K; i++) {
        H[i * K + i] = 1.0f + float(i % 5);
        if (i + 1 < K) H[i * K + i + 1] = 0.25f;
    }
    return H;
}

std::string hash_of_conversion(format f, errors how, size_t K = 512) {
    constexpr size_t N = 64;
    plan_settings wishes;
    wishes.formats = policy::parse(format_name(f)).value();
    const matmul_plan plan =
        plan_weight({"blk.0.attn_output.weight", int64_t(K), N}, *find_chip("rk3588").value(), wishes).value();
    EXPECT_EQ(plan.numeric_format, f);
    EXPECT_EQ(plan.segments.size() > 1, K > 512);
    std::vector<float> rows = fixed_rows(N, K);
    basis in;
    in.rotate = make_rotation(K, plan.rotation_block, plan.rotation_seed);
    const row_source source = [&](size_t n, float * row) { std::copy_n(&rows[n * K], K, row); };
    if (plan.balance) in.balance = balance_columns({{source, N}}, K, {});
    std::optional<error_feedback> feedback;
    if (how == errors::by_weights) feedback = feedback_of_weights({{source, N}}, K, in).value();
    if (how == errors::by_moments) feedback = error_feedback::make(fixed_moments(K), K).value();
    rounding round;
    round.feedback = feedback ? &*feedback : nullptr;
    std::vector<uint8_t> codes(plan.matrix_bytes());
    std::vector<float> scales(plan.segments.size() * N);
    std::vector<uint8_t *> native;
    for (size_t i = 0, at = 0; i < plan.segments.size(); at += plan.segment_bytes(i++))
        native.push_back(&codes[at]);
    EXPECT_EQ(pack_weight_rows(plan, in, round, 0, N, rows.data(), K, {native.data(), scales.data()}), packing::done);
    wide_hasher h;
    h.add(codes.data(), codes.size());
    h.add(scales.data(), scales.size() * sizeof(float));
    h.add(in.balance.data(), in.balance.size() * sizeof(float));
    return h.value().text();
}

TEST(conversion_version, codes_of_fixed_weights_are_those_of_this_version) {
    // Sums over vectors of another length may be rounded in another order, so one instruction set is chosen.
    if (!(hwy::SupportedTargets() & HWY_TARGETS & HWY_AVX2)) GTEST_SKIP() << "the hashes are those of AVX2";
    hwy::SetSupportedTargetsForTest(HWY_AVX2);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    ASSERT_STREQ(kernels::isa_name(), "AVX2");
    ASSERT_EQ(conversion_version, 2);
    const struct {
        format f;
        errors how;
        size_t K;
        const char * hash;
    } known[] = {
        {format::w16a16, errors::each_alone, 512, "e61ae8de48cbb87bdbb28396a8d1d699"},
        {format::w8a8, errors::each_alone, 512, "37a3dee8a410a546bed87fddf30eb7c7"},
        {format::w8a16, errors::each_alone, 512, "37a3dee8a410a546bed87fddf30eb7c7"}, // the same codes
        {format::w4a8, errors::each_alone, 512, "ca92a2f4e8f48b29e107b6758137e9af"},
        {format::w4a4, errors::each_alone, 512, "ca92a2f4e8f48b29e107b6758137e9af"}, // the same codes
        {format::w8a8, errors::by_weights, 512, "f295bd515dc3a3619bcdafdb63048c51"},
        {format::w4a8, errors::by_weights, 512, "441bd1d0969b169b81bd10ac1010a4b8"},
        {format::w4a8, errors::by_weights, 4096, "ac828a815aeef68b3f7988f2694f0491"}, // several segments
        {format::w4a8, errors::by_moments, 512, "6ff0aa2d7595de7f40b88ac965d969ee"},
    };
    for (const auto & k : known)
        EXPECT_EQ(hash_of_conversion(k.f, k.how, k.K), k.hash)
            << format_name(k.f) << ", K " << k.K << ", errors " << int(k.how);
}

} // namespace
} // namespace rknpu
