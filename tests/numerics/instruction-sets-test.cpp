// Weights that were packed on one machine serve on another (docs/store-format.md): the codes of different instruction
// sets need not be the same, but are equally good.
#include "kernels/forced-isa.h"

#include "numerics/weight-feedback.h"
#include "numerics/weight.h"
#include "support/fixtures.h"

#include <cmath>

namespace rknpu {
namespace {

constexpr size_t N = 64, K = 2816;

class on_instruction_set : public per_isa {};

matmul_plan plan_of_4_bits() {
    plan_settings wishes;
    wishes.formats = policy::parse("w4a8").value();
    return plan_weight({"blk.0.attn_output.weight", K, N}, *find_chip("rk3588").value(), wishes).value();
}

// Rows converted by the instruction set in use, and what their codes stand for.
std::vector<float> through_codes(const matmul_plan & plan, const std::vector<float> & rows) {
    basis in;
    in.rotate = make_rotation(K, plan.rotation_block, plan.rotation_seed);
    const row_source source = [&](size_t n, float * row) { std::copy_n(&rows[n * K], K, row); };
    const auto feedback = feedback_of_weights({{source, N}}, K, in);
    EXPECT_TRUE(feedback.ok());
    rounding round;
    round.feedback = &feedback.value();
    std::vector<uint8_t> codes(plan.matrix_bytes());
    std::vector<float> scales(plan.segments.size() * N), changed = rows, back(N * K);
    std::vector<uint8_t *> native;
    for (size_t i = 0, at = 0; i < plan.segments.size(); at += plan.segment_bytes(i++))
        native.push_back(&codes[at]);
    EXPECT_EQ(pack_weight_rows(plan, in, round, 0, N, changed.data(), K, {native.data(), scales.data()}),
              packing::done);
    for (size_t n = 0; n < N; n++)
        unpack_weight_row(plan, in, n, native.data(), scales.data(), &back[n * K]);
    return back;
}

TEST_P(on_instruction_set, codes_are_as_good_as_those_of_any_other) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const std::vector<float> rows = test::normal_values(random, N * K, 0.05f);
    const matmul_plan plan = plan_of_4_bits();
    const std::vector<float> here = through_codes(plan, rows);
    hwy::SetSupportedTargetsForTest(machine_isas().back()); // the last is the plainest
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    const std::vector<float> there = through_codes(plan, rows);
    const double error = test::normalized_error(here, rows), plain = test::normalized_error(there, rows);
    EXPECT_GT(error, 0);
    // If all codes were others, the sum of N * K squares of rounding errors would scatter by 0.2 % (five times that).
    EXPECT_NEAR(error / plain, 1, 0.01);
    size_t scales = 0, codes = 0; // in how many values these show
    for (size_t i = 0; i < here.size(); i++) {
        scales += here[i] != there[i];
        codes += std::fabs(here[i] - there[i]) > 1e-3f * std::fabs(here[i]) + 1e-6f;
    }
    RecordProperty("values_that_differ", int(scales));
    RecordProperty("values_of_other_codes", int(codes));
}

INSTANTIATE_TEST_SUITE_P(all, on_instruction_set, testing::ValuesIn(machine_isas()), isa_of);

} // namespace
} // namespace rknpu
