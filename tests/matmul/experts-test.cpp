// Experts on the emulated NPU against exact arithmetic: formats, routings of all sorts, thread counts, batches, faults.
#include "base/check.h"
#include "experts-rig.h"
#include "support/faulty-device.h"

namespace rknpu {
namespace {

using test::experts_case;
using test::experts_rig;
using test::rows;

class experts : public testing::TestWithParam<std::tuple<const char *, experts_case, int>> {};

TEST_P(experts, equal_exact_arithmetic_within_the_format) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    const auto [format, c, nth] = GetParam();
    engine npu(test::open_device(), test::quiet_settings(format));
    experts_rig rig(npu, c, random);
    rig.prepare(nth);
    // Routings of all sorts on one preparation: at random (with doubles), all rows to one expert, the same few experts
    // for all, each expert in turn.
    const std::function<size_t(size_t, size_t)> routings[] = {
        [&](size_t, size_t) { return random() % c.n_experts; },
        [&](size_t, size_t) { return c.n_experts - 1; },
        [&](size_t, size_t slot) { return slot % c.n_experts; },
        [&](size_t token, size_t slot) { return (token + slot) % c.n_experts; },
    };
    for (const auto & routing : routings) {
        rig.route(routing);
        rig.run(nth);
        EXPECT_LT(rig.error(), test::error_bound(format));
    }
    EXPECT_GT(npu.count().jobs, 0u);
    EXPECT_EQ(npu.count().jobs_failed, 0u);
    EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
}

constexpr const char * formats[] = {"w16a16", "w8a16", "w8a8", "w4a8", "w4a4"};
constexpr experts_case decode[] = {{8, 2, 1, 96, 320, rows::shared},
                                   {16, 8, 1, 64, 64, rows::own},
                                   {5, 1, 1, 100, 96, rows::shared},
                                   {4, 3, 3, 70, 2000, rows::own}};
constexpr experts_case batches[] = {
    {16, 4, 40, 64, 96, rows::shared}, {4, 2, 150, 100, 64, rows::own}, {32, 1, 33, 64, 70, rows::shared}};
std::string case_name(const testing::TestParamInfo<experts::ParamType> & info) {
    const auto & [format, c, nth] = info.param;
    return std::string(format) + "_e" + std::to_string(c.n_experts) + "_u" + std::to_string(c.n_used) + "_t" +
           std::to_string(c.n_tokens) + "_n" + std::to_string(c.N) + "_k" + std::to_string(c.K) +
           (c.activation == rows::own ? "_own" : "_shared") + "_threads" + std::to_string(nth);
}
INSTANTIATE_TEST_SUITE_P(decode, experts,
                         testing::Combine(testing::ValuesIn(formats), testing::ValuesIn(decode), testing::Values(1, 4)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(batches, experts,
                         testing::Combine(testing::ValuesIn(formats), testing::ValuesIn(batches),
                                          testing::Values(1, 3)),
                         case_name);

TEST(experts_on_npu, jobs_of_all_segments_give_what_jobs_of_one_give) {
    SCOPED_TRACE(test::seed_line());
    for (const char * format : {"w4a8", "w4a4"}) {
        for (const size_t n_tokens : {1, 6, 30}) {
            for (const rows activation : {rows::shared, rows::own}) {
                engine npu(test::open_device(), test::quiet_settings(format));
                std::mt19937 random(test::seed()), same(test::seed());
                const experts_case c{8, 4, n_tokens, 100, 2112, activation};
                experts_rig joint(npu, c, random);
                experts_rig apart(npu, c, same, [](matmul_plan & p) { p.joint_slices.clear(); });
                apart.ids = joint.ids;
                ASSERT_FALSE(joint.packed->plan().joint_slices.empty());
                for (experts_rig * rig : {&joint, &apart}) {
                    rig->prepare(3);
                    rig->run(3);
                }
                EXPECT_EQ(joint.output, apart.output) << format << " " << n_tokens;
                EXPECT_LT(joint.error(), test::error_bound(format));
                EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
            }
        }
    }
}

TEST(experts_on_npu, thousands_of_rows_to_few_and_to_many_experts) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {16, 4, 3000, 64, 96, rows::shared}, random);
    rig.prepare(3);
    rig.run(3);
    EXPECT_LT(rig.error(17), test::error_bound("w8a8"));
    rig.route([](size_t, size_t slot) { return slot ? 3 : 9; }); // 14 experts without rows, one with 9000
    rig.run(3);
    EXPECT_LT(rig.error(17), test::error_bound("w8a8"));
    EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
}

TEST(experts_on_npu, staging_has_a_limit_and_jobs_come_in_batches) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w16a16"));
    // 600 tokens x 8 rows of 8192 columns: 75 MiB of f16.
    experts_rig rig(npu, {4, 8, 600, 16, 8192, rows::own}, random);
    rig.prepare(2);
    for (int i = 0; i < 2; i++) {
        rig.run(2);
        EXPECT_GT(rig.stage.n_batches(), 2u);
        EXPECT_LT(rig.error(13), test::error_bound("w16a16"));
    }
    EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
    // A second weight finds another batch in staging than it begins with.
    const std::vector<float> before = rig.output;
    rig.work.reset();
    std::fill(rig.output.begin(), rig.output.end(), -77.0f);
    test::on_team(2, [&](int ith, int n) { rig.work.run(ith, n); });
    EXPECT_EQ(rig.output, before);
}

TEST(experts_on_npu, jobs_and_bytes_are_those_of_the_experts_in_use) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {16, 4, 1, 64, 128, rows::shared}, random);
    rig.route([](size_t, size_t slot) { return 3 * slot; });
    rig.prepare(1);
    rig.run(1);
    EXPECT_EQ(npu.count().jobs, 4u);
    EXPECT_EQ(npu.count().weight_bytes, 4u * 64 * 128);
    // One slot of staging serves all four.
    const expert_job * jobs = rig.stage.begin(0);
    for (int i = 1; i < 4; i++)
        EXPECT_EQ(jobs[i].first_slot, jobs[0].first_slot);
}

TEST(experts_on_npu, runtime_objects_are_created_once) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {16, 4, 1, 64, 128, rows::own}, random);
    const auto objects = [&] { return npu.count().contexts + npu.count().memories; };
    rig.prepare(2);
    rig.route([](size_t, size_t slot) { return slot; });
    rig.run(2);
    const uint64_t before = objects();
    for (size_t i = 0; i < 12; i++) { // other experts each time
        rig.route([&](size_t, size_t slot) { return (i + 3 * slot) % 16; });
        rig.prepare(2);
        rig.run(2);
    }
    EXPECT_EQ(objects(), before);
}

// As the products of the weights as their codes have them: infinities of their signs, or NaN.
TEST(experts_on_npu, rows_with_nan_or_infinity_are_multiplied_by_the_cpu) {
    SCOPED_TRACE(test::seed_line());
    constexpr float inf = std::numeric_limits<float>::infinity();
    std::mt19937 random(test::seed());
    for (const rows kind : {rows::shared, rows::own}) {
        engine npu(test::open_device(), test::quiet_settings("w8a8"));
        experts_rig rig(npu, {4, 2, 20, 64, 128, kind}, random);
        const size_t token_values = rig.n_rows * rig.c.K; // those of a token's first slot come first
        rig.prepare(3);
        rig.run(3);
        const auto good = rig.output;
        rig.activation[7 * token_values + 5] = std::numeric_limits<float>::quiet_NaN();
        rig.activation[9 * token_values + 5] = inf;
        rig.activation[11 * token_values] = -inf;
        rig.run(3);
        EXPECT_EQ(npu.count().rows_not_finite, 3u);
        std::vector<float> w(rig.c.K);
        for (size_t i = 0; i < good.size(); i++) {
            const size_t pair = i / rig.c.N, token = pair / 2, slot = pair % 2;
            const bool bad = (token == 7 || token == 9 || token == 11) && (slot == 0 || kind == rows::shared);
            if (!bad) {
                ASSERT_EQ(rig.output[i], good[i]) << i;
                continue;
            }
            if (token == 7) {
                ASSERT_TRUE(std::isnan(rig.output[i])) << i;
                continue;
            }
            const size_t expert = size_t(rig.ids[token * rig.ids_stride + slot]);
            rig.packed->read_row(expert * rig.c.N + i % rig.c.N, w.data());
            const float product = token == 9 ? w[5] * inf : w[0] * -inf;
            ASSERT_TRUE(std::isnan(product) ? std::isnan(rig.output[i]) : rig.output[i] == product) << i;
        }
    }
}

TEST(experts_on_npu, rows_with_infinity_in_several_batches) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w16a16"));
    experts_rig rig(npu, {4, 8, 600, 16, 8192, rows::own}, random);
    for (size_t row = 0; row < 600 * 8; row += 97)
        rig.activation[row * rig.c.K + row] = std::numeric_limits<float>::infinity();
    rig.prepare(2);
    rig.run(2);
    EXPECT_GT(rig.stage.n_batches(), 2u);
    for (size_t pair = 0; pair < 600 * 8; pair++) {
        for (size_t n = 0; n < rig.c.N; n++) {
            const float got = rig.output[pair * rig.c.N + n];
            if (pair % 97) {
                ASSERT_TRUE(std::isfinite(got)) << pair;
                continue;
            }
            const size_t expert = size_t(rig.ids[pair / 8 * rig.ids_stride + pair % 8]);
            const float w = rig.weight[(expert * rig.c.N + n) * rig.c.K + pair];
            ASSERT_EQ(got, std::copysign(std::numeric_limits<float>::infinity(), w)) << pair;
        }
    }
}

TEST(experts_on_npu, a_bad_row_counts_once_whatever_number_of_batches_and_weights_read_it) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w16a16"));
    experts_rig rig(npu, {4, 8, 600, 16, 8192, rows::shared}, random);
    rig.route([](size_t token, size_t slot) { return (token + slot) % 4; }); // so each token is in several batches
    rig.activation[9 * rig.c.K] = std::numeric_limits<float>::infinity();
    rig.activation[500 * rig.c.K] = std::numeric_limits<float>::quiet_NaN();
    rig.prepare(2);
    rig.run(2);
    EXPECT_GT(rig.stage.n_batches(), 2u);
    EXPECT_EQ(npu.count().rows_not_finite, 2u);
    rig.work.reset();
    test::on_team(2, [&](int ith, int n) { rig.work.run(ith, n); });
    EXPECT_EQ(npu.count().rows_not_finite, 2u) << "for a second weight";
    rig.run(2);
    EXPECT_EQ(npu.count().rows_not_finite, 4u);
}

TEST(experts_on_npu, an_expert_that_does_not_exist_ends_the_run_for_all_threads) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {4, 2, 3, 64, 128, rows::shared}, random);
    rig.prepare(2);
    for (const int32_t bad : {-1, 4}) {
        rig.ids[1] = bad;
        rig.stage.reset();
        rig.work.reset();
        std::atomic<int> thrown{0};
        test::on_team(2, [&](int ith, int n) {
            try {
                rig.stage.fill(ith, n);
            } catch (const internal_error &) {
                thrown++;
            }
        });
        EXPECT_EQ(thrown, 2);
        test::on_team(2, [&](int ith, int n) { rig.work.run(ith, n); }); // ggml goes on with the next node
    }
}

TEST(experts_on_npu, a_stage_serves_stacks_of_one_group_and_shape_only) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {4, 2, 3, 64, 128, rows::shared}, random);
    rig.prepare(1);
    weight_pool pool(npu.npu(), npu.ledger(), 1 << 20, 0), elsewhere(npu.npu(), npu.ledger(), 1 << 20, 1);
    const auto stack = [&](const char * name, int64_t K, int64_t N, int64_t n, weight_pool * from = nullptr) {
        const auto plan = plan_weight({name, K, N, n}, *npu.info().soc, npu.planning()).value();
        return std::move(packed_weight::create(npu, from ? *from : pool, plan, 1 << 20).value());
    };
    EXPECT_TRUE(rig.stage.serves(*stack("blk.0.ffn_gate_exps.weight", 128, 64, 4)));
    EXPECT_FALSE(rig.stage.serves(*stack("blk.1.ffn_gate_exps.weight", 128, 64, 4)));
    EXPECT_FALSE(rig.stage.serves(*stack("blk.0.ffn_gate_exps.weight", 128, 64, 5)));
    EXPECT_FALSE(rig.stage.serves(*stack("blk.0.ffn_gate_exps.weight", 128, 96, 4)));
    EXPECT_FALSE(rig.stage.serves(*stack("blk.0.ffn_gate_exps.weight", 256, 64, 4)));
    EXPECT_FALSE(rig.stage.serves(*stack("blk.0.ffn_gate_exps.weight", 128, 64, 4, &elsewhere))) << "another domain";
}

TEST(experts_on_npu, a_stack_that_finds_no_memory_leaves_none_taken) {
    SCOPED_TRACE(test::seed_line());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    weight_pool pool(npu.npu(), npu.ledger(), 1 << 20, 0);
    const auto plan = plan_weight({"w", 8192, 8192, 100}, *npu.info().soc, npu.planning()).value(); // 6.4 GB
    const auto refused = packed_weight::create(npu, pool, plan, 1 << 20);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), errc::out_of_memory);
    EXPECT_EQ(npu.ledger().used(0), 0u);
}

// One stack, or two siblings whose jobs are in one list.
struct failing_experts : testing::TestWithParam<std::tuple<const char *, bool>> {
    test::fault_plan & faults = test::kept_fault_plan();
    settings wishes = test::quiet_settings(std::get<0>(GetParam()));
    std::unique_ptr<engine> npu;
    std::unique_ptr<experts_rig> rig;

    testing::ScopedTrace repeat{__FILE__, __LINE__, test::seed_line()};

    void start() {
        std::mt19937 random(test::seed());
        npu = std::make_unique<engine>(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)),
                                       wishes);
        rig = std::make_unique<experts_rig>(*npu, experts_case{8, 3, 30, 96, 256, rows::shared}, random);
        if (std::get<1>(GetParam())) rig->add_sibling(random);
        rig->prepare(2);
    }
    void run() {
        rig->run(2);
        EXPECT_LT(rig->error(), test::error_bound(std::get<0>(GetParam())));
    }
};

TEST_P(failing_experts, one_error_is_recomputed_and_forgiven) {
    faults.of_job = [](int job) { return job == 2 ? test::fault::error : test::fault::none; };
    start();
    run();
    EXPECT_EQ(npu->count().jobs_failed, 1u);
    EXPECT_EQ(npu->count().jobs_on_cpu, 1u);
    EXPECT_FALSE(npu->retired());
}

TEST_P(failing_experts, constant_errors_retire_the_npu) {
    faults.of_job = [](int) { return test::fault::error; };
    start();
    run();
    EXPECT_TRUE(npu->retired());
    const int given = faults.jobs;
    run();
    rig->prepare(2);
    run();
    EXPECT_EQ(faults.jobs, given) << "a retired NPU got a job";
}

TEST_P(failing_experts, a_sync_that_fails_never_gives_wrong_results) {
    for (const int bad : {1, 2, 3, 5}) {
        SCOPED_TRACE(bad);
        faults.syncs = 0;
        faults.failing_sync = bad;
        start();
        run();
        EXPECT_GT(npu->count().jobs_failed, 0u);
        rig.reset();
        npu.reset();
    }
}

TEST_P(failing_experts, a_hang_is_noticed_and_recomputed) {
    faults.of_job = [](int job) { return job == 3 ? test::fault::hang : test::fault::none; };
    wishes.timeout_ms = test::hang_timeout_ms();
    start();
    run();
    EXPECT_TRUE(npu->team().hung());
    rig->prepare(2);
    run();
    static auto & kept = *new std::vector<std::pair<experts_rig *, engine *>>;
    kept.emplace_back(rig.release(), npu.release());
}

TEST_P(failing_experts, wrong_data_is_found_and_corrected_by_the_check_mode) {
    faults.of_job = [](int job) { return job == 2 ? test::fault::wrong_data : test::fault::none; };
    wishes.check = true;
    start();
    run();
    EXPECT_EQ(npu->count().shares_wrong, 1u);
    EXPECT_GT(npu->count().shares_checked, 1u);
}

TEST_P(failing_experts, no_contexts_means_the_cpu_multiplies) {
    faults.no_contexts = true;
    start();
    run();
    EXPECT_EQ(npu->count().jobs, 0u);
    EXPECT_GT(npu->count().jobs_on_cpu, 0u);
}

TEST_P(failing_experts, no_memory_for_staging_means_the_cpu_multiplies_until_it_is_tried_again) {
    start();
    faults.allocation_max = 1000;
    run();
    EXPECT_EQ(npu->count().jobs, 0u);
    faults.allocation_max = SIZE_MAX;
    npu->jobs().retry_failures(1);
    rig->prepare(2);
    run();
    EXPECT_GT(npu->count().jobs, 0u);
}

INSTANTIATE_TEST_SUITE_P(formats, failing_experts,
                         testing::Combine(testing::Values("w16a16", "w8a8", "w4a8"), testing::Bool()));

} // namespace
} // namespace rknpu
