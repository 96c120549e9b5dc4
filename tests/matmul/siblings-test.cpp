// Stacks whose jobs are one list: what each gives alone, bit by bit, in fewer rounds of the cores.
#include "experts-rig.h"
#include "support/faulty-device.h"

#include <limits>

namespace rknpu {
namespace {

using test::experts_case;
using test::experts_rig;
using test::lists;
using test::rows;

constexpr experts_case cases[] = {
    {8, 4, 1, 96, 320, rows::shared},   // a decoded token
    {16, 8, 1, 100, 64, rows::own},     // N is no whole tile
    {4, 3, 2, 70, 2112, rows::shared},  // two segments of K in one job where weights are int4
    {8, 4, 30, 100, 2112, rows::own},   // and in a job each
    {16, 4, 150, 64, 96, rows::shared}, // ragged: some experts get many rows, some none
};

TEST(siblings, give_what_each_gives_alone) {
    SCOPED_TRACE(test::seed_line());
    for (const char * format : {"w16a16", "w8a8", "w8a16", "w4a8", "w4a4"}) {
        for (const experts_case & c : cases) {
            SCOPED_TRACE(testing::Message() << format << " tokens " << c.n_tokens << " K " << c.K);
            settings s = test::quiet_settings(format);
            s.check = c.n_tokens == 2; // the software's products are compared too
            engine npu(test::open_device(), s);
            std::mt19937 random(test::seed());
            experts_rig rig(npu, c, random);
            rig.add_sibling(random);
            for (const int nth : {1, 2, 3, 4}) {
                rig.route([&](size_t, size_t) { // half of the rows for a quarter of the experts
                    return random() % (random() % 2 ? c.n_experts : std::max<size_t>(1, c.n_experts / 4));
                });
                const uint64_t jobs = npu.count().jobs;
                const auto apart = rig.outputs(nth, lists::two);
                const uint64_t jobs_apart = npu.count().jobs - jobs;
                EXPECT_EQ(npu.count().sibling_lists, uint64_t(nth - 1));
                EXPECT_EQ(rig.outputs(nth, lists::one), apart);
                EXPECT_EQ(npu.count().jobs - jobs, 2 * jobs_apart);
                EXPECT_EQ(npu.count().sibling_lists, uint64_t(nth));
                EXPECT_LT(rig.error(), test::error_bound(format));
            }
            EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
            EXPECT_EQ(npu.count().shares_wrong, 0u);
        }
    }
}

TEST(siblings, share_each_batch_where_staging_has_a_limit) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w16a16"));
    // 600 tokens x 8 rows of 8192 columns: 75 MiB of f16.
    experts_rig rig(npu, {4, 8, 600, 16, 8192, rows::own}, random);
    rig.add_sibling(random);
    for (size_t row = 0; row < 600 * 8; row += 97) // in every batch
        rig.activation[row * rig.c.K + row] = std::numeric_limits<float>::infinity();
    const auto bytes = [&](lists how, std::vector<float> & outputs) {
        const uint64_t before = npu.count().activation_bytes;
        outputs = rig.outputs(2, how);
        return npu.count().activation_bytes - before;
    };
    std::vector<float> apart, together;
    const uint64_t bytes_apart = bytes(lists::two, apart), bytes_together = bytes(lists::one, together);
    EXPECT_GT(rig.stage.n_batches(), 2u);
    EXPECT_EQ(together, apart);
    EXPECT_LT(bytes_together, bytes_apart) << "a batch is filled once for both";
    EXPECT_EQ(npu.count().jobs_on_cpu, 0u);
}

TEST(siblings, leave_rows_that_are_not_finite_to_the_cpu) {
    SCOPED_TRACE(test::seed_line());
    for (const char * format : {"w8a8", "w4a8"}) {
        std::mt19937 random(test::seed());
        engine npu(test::open_device(), test::quiet_settings(format));
        experts_rig rig(npu, {4, 2, 20, 64, 128, rows::shared}, random);
        rig.add_sibling(random);
        rig.activation[7 * rig.c.K + 5] = std::numeric_limits<float>::quiet_NaN();
        rig.activation[9 * rig.c.K + 5] = std::numeric_limits<float>::infinity();
        rig.activation[11 * rig.c.K] = -std::numeric_limits<float>::infinity();
        for (const int nth : {1, 3}) {
            const auto apart = rig.outputs(nth, lists::two), together = rig.outputs(nth, lists::one);
            size_t n_nan = 0, n_infinite = 0;
            for (size_t i = 0; i < apart.size(); i++) {
                n_nan += std::isnan(apart[i]);
                n_infinite += std::isinf(apart[i]);
                ASSERT_TRUE(apart[i] == together[i] || (std::isnan(apart[i]) && std::isnan(together[i]))) << i;
            }
            const size_t values = 2 * 2 * rig.c.N; // of a token: two siblings, two experts
            EXPECT_GE(n_nan, values);
            EXPECT_EQ(n_nan + n_infinite, 3 * values);
        }
    }
}

// The cores get 3, 3 and 2 of eight jobs; of two lists of four 4, 2 and 2.
TEST(siblings, fill_the_cores_together) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    test::fault_plan & faults = test::kept_fault_plan();
    int jobs[3] = {};
    std::mutex counting;
    faults.of_core = [&](int core) {
        std::lock_guard<std::mutex> lock(counting);
        jobs[core]++;
        return test::fault::none;
    };
    engine npu(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)),
               test::quiet_settings("w8a8"));
    experts_rig rig(npu, {16, 4, 1, 64, 128, rows::shared}, random);
    rig.add_sibling(random);
    rig.route([](size_t, size_t slot) { return 3 * slot; });
    const auto most = [&](lists how) {
        std::fill_n(jobs, 3, 0);
        rig.outputs(2, how);
        EXPECT_EQ(jobs[0] + jobs[1] + jobs[2], 8);
        return *std::max_element(jobs, jobs + 3);
    };
    EXPECT_EQ(most(lists::two), 4);
    EXPECT_EQ(most(lists::one), 3);
}

TEST(siblings, cost_no_object_of_the_runtime) {
    SCOPED_TRACE(test::seed_line());
    std::mt19937 random(test::seed());
    engine npu(test::open_device(), test::quiet_settings("w8a8"));
    experts_rig rig(npu, {16, 4, 20, 64, 128, rows::own}, random);
    rig.add_sibling(random);
    rig.outputs(2, lists::two);
    const uint64_t before = npu.count().contexts + npu.count().memories;
    rig.outputs(2, lists::one);
    EXPECT_EQ(npu.count().contexts + npu.count().memories, before);
}

class siblings_failing : public testing::TestWithParam<std::tuple<test::fault, int>> {};

// A job that fails is computed by the CPU, for the weight that it is of.
TEST_P(siblings_failing, leave_no_bit_wrong) {
    SCOPED_TRACE(test::seed_line());
    const auto [fault, bad_job] = GetParam();
    test::fault_plan & faults = test::kept_fault_plan();
    settings s = test::quiet_settings("w4a8");
    if (fault == test::fault::hang) s.timeout_ms = test::hang_timeout_ms();
    s.check = fault == test::fault::wrong_data;
    auto owned_npu =
        std::make_unique<engine>(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)), s);
    engine & npu = *owned_npu;
    std::mt19937 random(test::seed());
    auto owned_rig = std::make_unique<experts_rig>(npu, experts_case{8, 3, 30, 96, 2112, rows::shared}, random);
    experts_rig & rig = *owned_rig;
    rig.add_sibling(random);
    const auto alone = rig.outputs(2, lists::two);
    const int first = faults.jobs;
    // All by value: the hung thread outlives this function.
    faults.of_job = [first, wanted = fault, n = bad_job](int job) {
        return job == first + n ? wanted : test::fault::none;
    };
    EXPECT_EQ(rig.outputs(2, lists::one), alone);
    EXPECT_EQ(npu.count().shares_wrong, fault == test::fault::wrong_data ? 1u : 0u);
    EXPECT_EQ(npu.count().jobs_on_cpu > 0, fault != test::fault::wrong_data);
    EXPECT_EQ(npu.retired(), fault == test::fault::hang);
    EXPECT_EQ(rig.outputs(2, lists::one), alone);
    if (fault != test::fault::hang) return;
    // The hung thread still refers to the device: nothing of it may be freed.
    static auto & kept = *new std::vector<std::pair<experts_rig *, engine *>>;
    kept.emplace_back(owned_rig.release(), owned_npu.release());
}

INSTANTIATE_TEST_SUITE_P(faults, siblings_failing,
                         testing::Combine(testing::Values(test::fault::error, test::fault::hang,
                                                          test::fault::wrong_data),
                                          testing::Values(1, 2, 7)));

} // namespace
} // namespace rknpu
