// Whole matmuls on the emulated NPU against exact arithmetic: formats, shapes, thread counts, chunks, segments,
// sharing.
#include "support/emulated.h"
#include "team.h"

namespace rknpu {
namespace {

std::unique_ptr<engine> new_engine(const char * format, const char * rotation = "hadamard") {
    settings s = test::quiet_settings();
    s.format = format;
    s.rotation = rotation;
    return std::make_unique<engine>(test::open_device(), s);
}

class matmul : public testing::TestWithParam<std::tuple<const char *, int, int, int, int>> {};

TEST_P(matmul, equals_exact_arithmetic_within_the_format) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto [format, M, N, K, nth] = GetParam();
    const auto npu = new_engine(format);
    test::matmul_rig rig(*npu, size_t(M), size_t(N), size_t(K), random);
    rig.prepare(nth);
    for (int repeat = 0; repeat < 2; repeat++) {
        std::fill(rig.output.begin(), rig.output.end(), -77.0f);
        rig.run(nth);
        EXPECT_LT(rig.error(), test::error_bound(format));
    }
    EXPECT_GT(npu->count().jobs, 0u);
    EXPECT_EQ(npu->count().jobs_failed, 0u);
    EXPECT_EQ(npu->count().jobs_on_cpu, 0u);
}

std::string case_name(const testing::TestParamInfo<matmul::ParamType> & info) {
    const auto [format, M, N, K, nth] = info.param;
    return testing::internal::StreamableToString(format) + "_m" + std::to_string(M) + "_n" + std::to_string(N) + "_k" +
           std::to_string(K) + "_t" + std::to_string(nth);
}

constexpr const char * formats[] = {"w16a16", "w8a16", "w8a8", "w4a8", "w4a4"};
INSTANTIATE_TEST_SUITE_P(decode, matmul,
                         testing::Combine(testing::ValuesIn(formats), testing::Values(1),
                                          testing::Values(64, 100, 1536), testing::Values(512, 704),
                                          testing::Values(1, 4)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(batches, matmul,
                         testing::Combine(testing::ValuesIn(formats), testing::Values(2, 33, 150),
                                          testing::Values(96, 1000), testing::Values(320), testing::Values(1, 3)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(segments, matmul,
                         testing::Combine(testing::ValuesIn(formats), testing::Values(1, 40), testing::Values(80),
                                          testing::Values(8200, 16416), testing::Values(2)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(many_chunks, matmul,
                         testing::Combine(testing::ValuesIn(formats), testing::Values(1100), testing::Values(700),
                                          testing::Values(64), testing::Values(1, 2)),
                         case_name);

TEST(matmul_on_npu, a_weight_whose_cuts_are_forgotten_is_as_it_was_planned) {
    SCOPED_TRACE(test::seed_line());
    const auto npu = new_engine("w4a8");
    std::mt19937 random(test::seed());
    test::matmul_rig rig(*npu, 1, 80, 4096, random);
    packed_weight & weight = *rig.packed;
    const matmul_plan planned = weight.plan();
    ASSERT_FALSE(planned.joint_slices.empty());
    const uint64_t windows = npu->count().memories;
    ASSERT_TRUE(weight.cut_as_packed(planned.segments.size()).ok());
    EXPECT_EQ(npu->count().memories, windows) << "it is cut so already";
    ASSERT_TRUE(weight.cut_as_packed(planned.segments.size() + 1).ok());
    ASSERT_TRUE(weight.forget_cuts().ok());
    EXPECT_EQ(weight.plan().segments.size(), planned.segments.size());
    EXPECT_EQ(weight.plan().joint_slices.size(), planned.joint_slices.size());
}

// Sums of segments are added in the same order, so not a bit differs. check: the software's products are compared too.
void expect_joint_jobs_to_equal_others(const char * format, size_t N, const std::vector<size_t> & rows, bool check) {
    const size_t K = traits_of(parse_format(format).value()).type == element::i4 ? 4096 : 16400;
    if (K * N > 10000000) return;
    settings s = test::quiet_settings();
    s.format = format;
    s.check = check;
    engine npu(test::open_device(), s);
    std::mt19937 random(test::seed()), same(test::seed());
    preparation quick; // how weights become codes is not the question here
    quick.search = scale_method::absmax;
    test::matmul_rig joint(npu, rows[0], N, K, random, {}, quick);
    test::matmul_rig apart(
        npu, rows[0], N, K, same, [](matmul_plan & p) { p.joint_slices.clear(); }, quick);
    ASSERT_EQ(joint.packed->plan().segments.size(), 3u);
    ASSERT_FALSE(joint.packed->plan().joint_slices.empty());
    for (const size_t M : rows) {
        SCOPED_TRACE(testing::Message() << format << " M " << M << " N " << N);
        joint.new_activation(M, random);
        apart.new_activation(M, same);
        uint64_t jobs = 0, jobs_apart = 0;
        for (test::matmul_rig * rig : {&joint, &apart}) {
            const uint64_t before = npu.count().jobs;
            rig->prepare(3);
            rig->run(3);
            (rig == &joint ? jobs : jobs_apart) = npu.count().jobs - before;
        }
        EXPECT_EQ(joint.output, apart.output);
        EXPECT_LT(joint.error(), test::error_bound(format));
        if (M == 1) {
            EXPECT_EQ(3 * jobs, jobs_apart);
        }
        EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
        EXPECT_EQ(npu.count().shares_wrong, 0u);
    }
}

TEST(matmul_on_npu, jobs_of_all_segments_give_what_jobs_of_one_give) {
    SCOPED_TRACE(test::seed_line());
    for (const char * format : formats) {
        for (const size_t N : {80, 500, 1984}) {
            expect_joint_jobs_to_equal_others(format, N, {1, 8, 60}, false);
            expect_joint_jobs_to_equal_others(format, N, {3}, true);
        }
    }
}

TEST(matmul_on_npu, shapes_are_created_once) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine("w8a8");
    test::matmul_rig first(*npu, 4, 2048, 2048, random), second(*npu, 4, 2048, 2048, random);
    first.prepare(2);
    first.run(2);
    const uint64_t contexts = npu->count().contexts;
    EXPECT_EQ(contexts, 3u);
    second.prepare(2);
    second.run(2);
    EXPECT_EQ(npu->count().contexts, contexts);
    EXPECT_LT(second.error(), test::error_bound("w8a8"));
}

TEST(matmul_on_npu, a_stage_serves_weights_of_one_group_only) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine("w8a8");
    const auto make = [&](const char * name, size_t K, size_t N, weight_pool & pool) {
        const auto plan = plan_weight({name, int64_t(K), int64_t(N)}, *npu->info().soc, npu->planning()).value();
        return std::move(packed_weight::create(*npu, pool, plan, 1 << 20).value());
    };
    weight_pool pool(npu->npu(), npu->ledger(), 1 << 22, 0);
    const auto q = make("blk.0.attn_q.weight", 512, 256, pool), k = make("blk.0.attn_k.weight", 512, 128, pool);
    const auto other = make("blk.1.attn_q.weight", 512, 256, pool),
               longer = make("blk.0.attn_v.weight", 1024, 128, pool);
    test::matmul_rig rig(*npu, 3, 64, 512, random);
    activation_stage stage;
    stage.prepare(*npu, *q, rig.source(), 1);
    EXPECT_TRUE(stage.serves(*k));
    EXPECT_FALSE(stage.serves(*other));
    EXPECT_FALSE(stage.serves(*longer));
}

TEST(matmul_on_npu, rotation_tames_an_outlier_channel) {
    SCOPED_TRACE(test::seed_line());
    double error[2];
    for (const bool rotated : {false, true}) {
        std::mt19937 random(test::seed());
        const auto npu = new_engine("w8a8", rotated ? "hadamard" : "none");
        test::matmul_rig rig(*npu, 8, 64, 512, random);
        for (size_t m = 0; m < rig.M; m++)
            rig.activation[m * rig.K + 77] *= 50; // one channel is 50 times the others
        rig.prepare(1);
        rig.run(1);
        error[rotated] = rig.error();
    }
    EXPECT_LT(error[1], error[0] / 4);
}

// Every product of the sum has its largest magnitude and the same sign: an i16 accumulator saturates unless the K
// segments are short enough, and so does the emulator.
TEST(matmul_on_npu, i4_sums_never_overflow) {
    for (const char * format : {"w4a8", "w4a4"}) {
        std::mt19937 random(1);
        const auto npu = new_engine(format, "none");
        test::matmul_rig rig(*npu, 3, 64, 2048, random);
        const size_t before = rig.packed->plan().segments.size();
        for (size_t k = 0; k < rig.K; k++) {
            const float sign = k % 3 ? 1.0f : -1.0f;
            for (size_t m = 0; m < rig.M; m++)
                rig.activation[m * rig.K + k] = sign * (m == 1 ? 0.07f : 119.0f);
            for (size_t n = 0; n < rig.N; n++)
                rig.weight[n * rig.K + k] = sign * (n % 2 ? 8.0f : -7.0f);
        }
        rig.load();
        rig.prepare(2);
        rig.run(2);
        EXPECT_GT(rig.packed->plan().segments.size(), before) << format;
        EXPECT_LT(rig.error(), 1e-10) << format;
        EXPECT_EQ(npu->count().jobs_on_cpu, 0u);
    }
}

TEST(matmul_on_npu, balancing_tames_an_outlier_channel) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine("w4a4");
    test::matmul_rig rig(*npu, 8, 64, 512, random);
    for (size_t m = 0; m < rig.M; m++)
        rig.activation[m * rig.K + 77] *= 200;
    for (size_t n = 0; n < rig.N; n++)
        rig.weight[n * rig.K + 77] /= 200;
    double error[2];
    for (const bool balanced : {false, true}) {
        preparation how;
        if (balanced) how.balance.assign(rig.K, 1.0f), how.balance[77] = 1 / 200.0f;
        rig.load(how);
        rig.prepare(1);
        rig.run(1);
        error[balanced] = rig.error();
    }
    EXPECT_LT(error[1], error[0] / 2);
    EXPECT_LT(error[1], test::error_bound("w4a4"));
}

// Rows with a NaN or infinities, against the products of the weight as its codes have it: infinities of its signs, NaN
// where they meet or where a weight is zero, and not a bit changed in the other rows.
class bad_rows : public testing::TestWithParam<const char *> {
protected:
    static constexpr float inf = std::numeric_limits<float>::infinity();
    static constexpr float nan = std::numeric_limits<float>::quiet_NaN();

    void expect(const test::matmul_rig & rig, const std::vector<float> & good, size_t n_bad) {
        std::vector<float> w(rig.K);
        for (size_t n = 0; n < rig.N; n++) {
            rig.packed->read_row(n, w.data());
            for (size_t m = 0; m < rig.M; m++) {
                const float got = rig.output[m * rig.N + n];
                if (m >= n_bad) {
                    ASSERT_EQ(got, good[m * rig.N + n]) << "row " << m << ", column " << n;
                    continue;
                }
                double sum = 0;
                for (size_t k = 0; k < rig.K; k++)
                    sum += double(rig.activation[m * rig.K + k]) * double(w[k]);
                ASSERT_FALSE(std::isfinite(sum));
                ASSERT_TRUE(std::isnan(sum) ? std::isnan(got) : got == float(sum))
                    << "row " << m << ", column " << n << ": " << got << ", not " << sum;
            }
        }
    }
};

TEST_P(bad_rows, are_multiplied_by_the_cpu_and_leave_the_others_alone) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine(GetParam());
    for (const int nth : {1, 3}) {
        test::matmul_rig rig(*npu, 40, 100, 2048, random);
        rig.prepare(nth);
        rig.run(nth);
        const auto good = rig.output;
        const uint64_t before = npu->count().rows_not_finite;
        rig.activation[5] = nan;
        rig.activation[1 * rig.K + 7] = inf;
        rig.activation[2 * rig.K + 2047] = -inf;
        rig.activation[3 * rig.K + 1] = inf, rig.activation[3 * rig.K + 2] = -inf;
        rig.activation[4 * rig.K + 1] = inf, rig.activation[4 * rig.K + 2] = nan;
        rig.run(nth);
        EXPECT_EQ(npu->count().rows_not_finite - before, 5u);
        expect(rig, good, 5);
        for (size_t m = 0; m < rig.M; m++)
            rig.activation[m * rig.K + m] = m % 2 ? inf : -inf;
        rig.run(nth);
        EXPECT_EQ(npu->count().rows_not_finite - before, 45u);
        expect(rig, good, rig.M);
    }
}

// The values are finite, but not their sums in the rotation.
TEST_P(bad_rows, rows_that_overflow_on_their_way_are_finite_again) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine(GetParam());
    if (std::string(GetParam()) == "w16a16") return; // is not rotated
    test::matmul_rig rig(*npu, 2, 64, 128, random);
    std::fill_n(rig.activation.begin(), rig.K, 3e38f);
    for (float & w : rig.weight)
        w *= 0.01f;
    rig.load();
    rig.prepare(2);
    rig.run(2);
    EXPECT_EQ(npu->count().rows_not_finite, 1u);
    std::vector<float> w(rig.K);
    for (size_t n = 0; n < rig.N; n++) {
        rig.packed->read_row(n, w.data());
        double sum = 0, size = 0;
        for (size_t k = 0; k < rig.K; k++) {
            sum += double(rig.activation[k]) * double(w[k]);
            size += std::fabs(double(rig.activation[k]) * double(w[k]));
        }
        EXPECT_LT(std::fabs(double(rig.output[n]) - sum), 1e-6 * size) << n;
    }
}

INSTANTIATE_TEST_SUITE_P(formats, bad_rows, testing::ValuesIn(formats));

TEST(matmul_on_npu, strided_and_converted_activations) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine("w16a16");
    test::matmul_rig rig(*npu, 6, 64, 96, random);
    // The same rows, as [2][3] with gaps, in doubles.
    std::vector<double> wide(2 * 1000);
    for (size_t m = 0; m < 6; m++) {
        for (size_t k = 0; k < 96; k++)
            wide[m / 3 * 1000 + m % 3 * 100 + k] = rig.activation[m * 96 + k];
    }
    activation_source s;
    s.data = reinterpret_cast<const uint8_t *>(wide.data());
    s.K = 96;
    s.n[0] = 3, s.n[1] = 2;
    s.stride[0] = 100 * sizeof(double), s.stride[1] = 1000 * sizeof(double);
    s.to_f32 = [](const void * row, float * out, int64_t K) {
        for (int64_t k = 0; k < K; k++)
            out[k] = float(static_cast<const double *>(row)[k]);
    };
    rig.stage.prepare(*npu, *rig.packed, s, 2);
    rig.work.prepare(*npu, *rig.packed, rig.stage, rig.output.data(), rig.N, "w");
    rig.run(2);
    EXPECT_LT(rig.error(), test::error_bound("w16a16"));
}

TEST(packed_weight, reads_back_what_was_loaded) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto npu = new_engine("w8a8");
    test::matmul_rig rig(*npu, 1, 70, 200, random);
    std::vector<float> back(70 * 200);
    for (size_t n = 0; n < 70; n++)
        rig.packed->read_row(n, back.data() + n * 200);
    EXPECT_LT(test::normalized_error(back, rig.weight), 2e-4);
}

} // namespace
} // namespace rknpu
