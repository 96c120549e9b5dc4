// Whatever the NPU does, the output is right: errors, wrong data under the check mode, hangs, no contexts, no memory.
#include "support/emulated.h"
#include "support/faulty-device.h"
#include "team.h"

namespace rknpu {
namespace {

struct failing : testing::Test {
    test::fault_plan & faults = *new test::fault_plan; // leaked: a hung thread refers to it for ever
    settings wishes = test::quiet_settings();
    std::unique_ptr<engine> npu;
    std::unique_ptr<test::matmul_rig> rig;

    // A matmul of several jobs on each of three cores.
    void start(const char * format = "w8a8") {
        std::mt19937 random(test::seed());
        wishes.format = format;
        npu = std::make_unique<engine>(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)),
                                       wishes);
        rig = std::make_unique<test::matmul_rig>(*npu, 600, 2048, 256, random);
    }
    void run() {
        rig->prepare(2);
        rig->run(2);
        EXPECT_LT(rig->error(), 3.5e-4);
    }
};

TEST_F(failing, one_error_is_recomputed_and_forgiven) {
    faults.of_job = [](int job) { return job == 2 ? test::fault::error : test::fault::none; };
    start();
    run();
    EXPECT_EQ(npu->count().jobs_failed, 1u);
    EXPECT_EQ(npu->count().jobs_on_cpu, 1u);
    EXPECT_FALSE(npu->retired());
}

TEST_F(failing, constant_errors_retire_the_npu) {
    faults.of_job = [](int) { return test::fault::error; };
    start();
    run();
    EXPECT_TRUE(npu->retired());
    const int given = faults.jobs;
    run();
    EXPECT_EQ(faults.jobs, given) << "a retired NPU got a job";
}

TEST_F(failing, both_formats_are_recomputed_right) {
    faults.of_job = [](int) { return test::fault::error; };
    start("w16a16");
    rig->prepare(2);
    rig->run(2);
    EXPECT_LT(rig->error(), 1e-6);
}

TEST_F(failing, a_hang_is_noticed_recomputed_and_the_npu_left_alone) {
    faults.of_job = [](int job) { return job == 3 ? test::fault::hang : test::fault::none; };
    wishes.timeout_ms = 100;
    start();
    run();
    EXPECT_TRUE(npu->retired());
    EXPECT_TRUE(npu->team().hung());
    run();
    // The hung thread still refers to the device: nothing of it may be freed.
    (void)rig.release();
    (void)npu.release();
}

TEST_F(failing, wrong_data_is_found_and_corrected_by_the_check_mode) {
    faults.of_job = [](int job) { return job == 2 ? test::fault::wrong_data : test::fault::none; };
    wishes.check = true;
    start();
    run();
    EXPECT_EQ(npu->count().jobs_wrong, 1u);
    EXPECT_GT(npu->count().jobs_checked, 1u);
    EXPECT_FALSE(npu->retired());
}

TEST_F(failing, wrong_data_goes_unnoticed_without_the_check_mode) {
    // The other half of the test above: it is the check that finds it.
    faults.of_job = [](int job) { return job == 2 ? test::fault::wrong_data : test::fault::none; };
    start();
    rig->prepare(2);
    rig->run(2);
    const auto wrong = rig->output;
    rig->run(2);
    EXPECT_NE(rig->output, wrong);
    EXPECT_EQ(npu->count().jobs_wrong, 0u);
}

TEST_F(failing, no_contexts_means_the_cpu_multiplies) {
    faults.no_contexts = true;
    start();
    run();
    EXPECT_EQ(npu->count().jobs, 0u);
    EXPECT_GT(npu->count().jobs_on_cpu, 0u);
}

TEST_F(failing, no_memory_for_staging_means_the_cpu_multiplies) {
    start();
    faults.allocation_max = 1000;
    run();
    EXPECT_EQ(npu->count().jobs, 0u);
    EXPECT_GT(npu->count().jobs_on_cpu, 0u);
}

TEST_F(failing, no_memory_for_a_weight_is_a_status) {
    start();
    faults.allocation_max = 1000;
    weight_pool pool(npu->npu(), npu->ledger(), 1 << 20, 0);
    const auto plan = plan_weight({"w", 256, 256}, *npu->info().soc, npu->planning()).value();
    const auto refused = packed_weight::create(*npu, pool, plan, 1 << 20);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), errc::out_of_memory);
}

TEST_F(failing, a_weight_with_nan_is_a_status) {
    start();
    weight_pool pool(npu->npu(), npu->ledger(), 1 << 20, 0);
    const auto plan = plan_weight({"w", 256, 256}, *npu->info().soc, npu->planning()).value();
    const auto weight = std::move(packed_weight::create(*npu, pool, plan, 1 << 20).value());
    const status s = weight->load([](size_t n, float * row) {
        std::fill_n(row, 256, 1.0f);
        if (n == 200) row[3] = std::nanf("");
    });
    EXPECT_EQ(s.code(), errc::invalid_argument);
    EXPECT_NE(s.message().find("row 200"), std::string::npos);
}

} // namespace
} // namespace rknpu
