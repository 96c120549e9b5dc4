// Weights that one job takes as a single one: what each gives alone, bit by bit, whatever the NPU does.
#include "support/emulated.h"
#include "support/faulty-device.h"
#include "team.h"

namespace rknpu {
namespace {

// q, k and v of a layer, side by side in a pool, and an activation; multiplied merged or each alone.
struct merged_rig {
    static constexpr size_t n_weights = 3;
    engine & npu;
    size_t M, K;
    std::vector<size_t> N;
    std::vector<float> activation;
    weight_pool pool;
    std::vector<std::vector<float>> values;
    std::vector<std::unique_ptr<packed_weight>> weights;
    std::unique_ptr<merged_weight> merged;
    activation_stage stage;
    npu_matmul work[n_weights];
    std::vector<std::vector<float>> outputs;

    merged_rig(engine & npu, size_t M, const std::vector<size_t> & N, size_t K, std::mt19937 & random)
        : npu(npu), M(M), K(K), N(N), activation(test::normal_values(random, M * K)),
          pool(npu.npu(), npu.ledger(), size_t(64) << 20, 0) {
        const char * names[n_weights] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"};
        for (size_t i = 0; i < n_weights; i++) {
            const auto plan = plan_weight({names[i], int64_t(K), int64_t(N[i])}, *npu.info().soc, npu.planning());
            weights.push_back(
                std::move(packed_weight::create(npu, pool, plan.value(), size_t(32) << 20, spacing::close).value()));
            values.push_back(test::normal_values(random, N[i] * K, 0.05f));
        }
        for (size_t i = 0; i < n_weights; i++)
            load(i);
        merged = merged_weight::of(npu, {weights[0].get(), weights[1].get(), weights[2].get()});
    }
    void load(size_t i) {
        const status loaded =
            weights[i]->load([&](size_t n, float * row) { std::copy_n(values[i].data() + n * K, K, row); });
        EXPECT_TRUE(loaded.ok()) << loaded.message();
    }
    activation_source source() const { return test::rows_of(activation, K); }
    // The outputs one after the other; jobs: how many it took.
    std::vector<float> run(bool at_once, int nth, uint64_t * jobs = nullptr) {
        outputs.clear();
        for (size_t i = 0; i < n_weights; i++)
            outputs.emplace_back(M * N[i], -77.0f);
        const uint64_t before = npu.count().jobs;
        for (size_t i = 0; i < n_weights; i++) {
            if (i == 0 || !at_once) { // one that was cut anew reads another stage than the others
                stage.prepare(npu, *weights[i], source(), nth);
                stage.reset();
                test::on_team(nth, [&](int ith, int n) { stage.fill(ith, n); });
            }
            EXPECT_TRUE(!at_once || takes_merged(stage, *merged));
            const merged_part part{at_once ? merged.get() : nullptr, at_once && i > 0 ? &work[0] : nullptr};
            work[i].prepare(npu, *weights[i], stage, outputs[i].data(), N[i], "w", part);
            work[i].reset();
            test::on_team(nth, [&](int ith, int n) { work[i].run(ith, n); });
        }
        if (jobs) *jobs = npu.count().jobs - before;
        std::vector<float> all;
        for (const auto & o : outputs)
            all.insert(all.end(), o.begin(), o.end());
        return all;
    }
};

TEST(merged, gives_what_each_weight_gives_alone) {
    SCOPED_TRACE(test::seed_line());
    for (const char * format : {"w16a16", "w8a8", "w8a16", "w4a8", "w4a4"}) {
        for (const auto & [M, K] : {std::pair<size_t, size_t>(1, 512), {1, 2816}, {3, 2816}, {8, 1024}, {1, 4096}}) {
            SCOPED_TRACE(testing::Message() << format << " M " << M << " K " << K);
            settings s = test::quiet_settings(format);
            s.check = M == 3; // the software's products are compared too
            engine npu(test::open_device(), s);
            std::mt19937 random(test::seed());
            merged_rig rig(npu, M, {1000, 96, 500}, K, random);
            ASSERT_NE(rig.merged, nullptr);
            ASSERT_TRUE(rig.merged->usable());
            for (const int nth : {1, 3}) {
                uint64_t jobs_alone = 0, jobs_merged = 0;
                const auto alone = rig.run(false, nth, &jobs_alone);
                EXPECT_EQ(rig.run(true, nth, &jobs_merged), alone);
                EXPECT_LE(jobs_merged, 3u); // one on each core
                EXPECT_TRUE(jobs_merged < jobs_alone || jobs_alone <= 3);
            }
            EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
            EXPECT_EQ(npu.count().shares_wrong, 0u);
        }
    }
}

TEST(merged, needs_neighbours) {
    SCOPED_TRACE(test::seed_line());
    engine npu(test::open_device(), test::quiet_settings());
    std::mt19937 random(test::seed());
    merged_rig rig(npu, 1, {256, 128, 64}, 512, random);
    EXPECT_NE(rig.merged, nullptr);
    EXPECT_EQ(merged_weight::of(npu, {rig.weights[0].get(), rig.weights[2].get()}), nullptr);
    EXPECT_EQ(merged_weight::of(npu, {rig.weights[1].get(), rig.weights[0].get()}), nullptr);
    EXPECT_NE(merged_weight::of(npu, {rig.weights[1].get(), rig.weights[2].get()}), nullptr);
}

// Rows with a NaN or infinities: each product has them from the CPU, and the other rows from the job of all.
TEST(merged, leaves_rows_that_are_not_finite_to_the_cpu) {
    SCOPED_TRACE(test::seed_line());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    std::mt19937 random(test::seed());
    merged_rig rig(npu, 6, {1000, 96, 500}, 2816, random);
    EXPECT_EQ(rig.merged->plan().slices.size(), 3u) << "no part of a weight lies on another core than the rest";
    rig.activation[7] = std::nanf("");
    rig.activation[2 * rig.K + 5] = std::numeric_limits<float>::infinity();
    const auto alone = rig.run(false, 3), merged = rig.run(true, 3);
    size_t n_bad = 0;
    for (size_t i = 0; i < alone.size(); i++) {
        n_bad += !std::isfinite(alone[i]);
        ASSERT_TRUE(alone[i] == merged[i] || (std::isnan(alone[i]) && std::isnan(merged[i]))) << i;
    }
    EXPECT_EQ(n_bad, 2 * size_t(1000 + 96 + 500));
}

// Many rows would only cost contexts.
TEST(merged, is_for_few_rows) {
    SCOPED_TRACE(test::seed_line());
    engine npu(test::open_device(), test::quiet_settings("w4a8"));
    std::mt19937 random(test::seed());
    for (const size_t M : {1, 8, 9, 64, 600}) {
        merged_rig rig(npu, M, {256, 128, 64}, 2816, random);
        rig.stage.prepare(npu, *rig.weights[0], rig.source(), 1);
        EXPECT_EQ(takes_merged(rig.stage, *rig.merged), M <= 8) << M;
    }
}

// A weight whose codes need one more segment than planned is not a native weight with the others any more, nor does it
// grow into its neighbour.
TEST(merged, is_given_up_where_a_weight_was_cut_anew) {
    SCOPED_TRACE(test::seed_line());
    settings s = test::quiet_settings("w4a8");
    s.rotation = "none";
    engine npu(test::open_device(), s);
    std::mt19937 random(test::seed());
    merged_rig rig(npu, 2, {96, 128, 64}, 2048, random);
    ASSERT_TRUE(rig.merged->usable());
    const auto before = rig.run(false, 2);
    for (float & v : rig.values[1])
        v = v < 0 ? -7.0f : 8.0f;
    rig.load(1);
    EXPECT_GT(rig.weights[1]->plan().segments.size(), rig.weights[1]->planned_segments().size());
    EXPECT_FALSE(rig.merged->usable());
    const auto after = rig.run(false, 2);
    const auto reference = test::reference_product(rig.activation, rig.values[1], rig.M, rig.N[1], rig.K);
    EXPECT_LT(test::normalized_error(rig.outputs[1], reference), test::error_bound("w4a8"));
    for (size_t i = 0; i < before.size(); i++) {
        const bool of_the_other = i >= rig.M * rig.N[0] && i < rig.M * (rig.N[0] + rig.N[1]);
        ASSERT_TRUE(of_the_other || before[i] == after[i]) << i;
    }
}

class merged_failing : public testing::TestWithParam<test::fault> {};

// The job fails once; each product has its columns of it from the CPU.
TEST_P(merged_failing, leaves_no_column_wrong) {
    SCOPED_TRACE(test::seed_line());
    test::fault_plan & faults = test::kept_fault_plan();
    settings s = test::quiet_settings("w4a8");
    if (GetParam() == test::fault::hang) s.timeout_ms = test::hang_timeout_ms();
    auto owned_npu =
        std::make_unique<engine>(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)), s);
    engine & npu = *owned_npu;
    std::mt19937 random(test::seed());
    auto owned_rig = std::make_unique<merged_rig>(npu, 2, std::vector<size_t>{1000, 96, 500}, 2816, random);
    merged_rig & rig = *owned_rig;
    const auto alone = rig.run(false, 2);
    const int first = faults.jobs;
    // All by value: the hung thread outlives this function.
    faults.of_job = [first, wanted = GetParam()](int job) { return job == first + 2 ? wanted : test::fault::none; };
    EXPECT_EQ(rig.run(true, 2), alone);
    EXPECT_GE(npu.count().jobs_on_cpu, 1u);
    EXPECT_LE(npu.count().jobs_on_cpu, 3u);
    EXPECT_EQ(npu.retired(), GetParam() == test::fault::hang);
    EXPECT_EQ(rig.run(true, 2), alone);
    if (GetParam() != test::fault::hang) return;
    // The hung thread still refers to the device: nothing of it may be freed.
    static auto & kept = *new std::vector<std::pair<merged_rig *, engine *>>;
    kept.emplace_back(owned_rig.release(), owned_npu.release());
}

INSTANTIATE_TEST_SUITE_P(faults, merged_failing, testing::Values(test::fault::error, test::fault::hang));

} // namespace
} // namespace rknpu
