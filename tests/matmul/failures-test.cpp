// Whatever the NPU does, the output is right: errors, wrong data under the check mode, hangs, no contexts, no memory.
#include "base/check.h"
#include "support/emulated.h"
#include "support/faulty-device.h"
#include "team.h"

namespace rknpu {
namespace {

struct failing : testing::Test {
    test::fault_plan & faults = test::kept_fault_plan();
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

TEST_F(failing, one_broken_core_is_enough_to_retire) {
    // Three cores take jobs in turn; the good ones of the other two must not hide the third.
    faults.of_core = [](int core) { return core == 1 ? test::fault::error : test::fault::none; };
    start();
    run();
    run();
    EXPECT_TRUE(npu->retired());
}

TEST_F(failing, a_sync_that_fails_never_gives_wrong_results) {
    for (const int bad : {1, 2, 3, 5, 8, 13}) {
        SCOPED_TRACE(bad);
        start();
        faults.syncs = 0;
        faults.failing_sync = bad;
        run();
        EXPECT_GT(npu->count().jobs_failed, 0u);
        faults.failing_sync = 0;
        rig.reset();
        npu.reset();
    }
}

TEST_F(failing, the_self_test_finds_wrong_products) {
    start();
    EXPECT_TRUE(npu->self_test().ok());
    faults.of_job = [](int) { return test::fault::wrong_data; };
    const status s = npu->self_test();
    EXPECT_EQ(s.code(), errc::incompatible);
    EXPECT_NE(s.message().find("core 0"), std::string::npos);
    EXPECT_NE(s.message().find("f16"), std::string::npos);
}

TEST_F(failing, without_int4_the_planner_uses_8_bits) {
    start();
    const auto format_of = [&](const char * policy_text) {
        plan_settings wishes = npu->planning();
        wishes.formats = policy::parse(policy_text).value();
        return plan_weight({"w", 256, 256}, *npu->info().soc, wishes).value().numeric_format;
    };
    EXPECT_EQ(format_of("w4a8"), format::w4a8);
    const int first_int4 = faults.jobs + 2 * npu->info().soc->n_cores + 1;
    faults.of_job = [=](int job) { return job >= first_int4 ? test::fault::wrong_data : test::fault::none; };
    EXPECT_TRUE(npu->self_test().ok());
    EXPECT_EQ(format_of("w4a8"), format::w8a16);
    EXPECT_EQ(format_of("w4a4"), format::w8a8);
    EXPECT_EQ(format_of("w8a8"), format::w8a8);
}

TEST_F(failing, a_thread_that_throws_does_not_hang_its_team) {
    start();
    rig->prepare(2);
    rig->stage.reset();
    rig->work.reset();
    test::on_team(2, [&](int ith, int n) { rig->stage.fill(ith, n); });
    // The second thread never comes: as if it had failed before it handed anything on.
    rig->work.give_up();
    EXPECT_THROW(rig->work.run(0, 2), internal_error);
}

TEST_F(failing, models_may_be_loaded_while_others_compute) {
    start();
    rig->prepare(2);
    std::atomic<bool> stop{false};
    std::thread loader([&] {
        while (!stop) {
            npu->hold_back_memory(1 << 20);
            weight_pool pool(npu->npu(), npu->ledger(), 1 << 20, 0);
            const auto plan = plan_weight({"w", 256, 256}, *npu->info().soc, npu->planning()).value();
            const auto weight = std::move(packed_weight::create(*npu, pool, plan, 1 << 20).value());
            EXPECT_TRUE(weight->load([](size_t, float * row) { std::fill_n(row, 256, 1.0f); }).ok());
            npu->release_memory();
        }
    });
    for (int i = 0; i < 5; i++) {
        npu->release_memory();
        rig->run(2);
    }
    stop = true;
    loader.join();
    EXPECT_LT(rig->error(), 3.5e-4);
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
    wishes.timeout_ms = test::hang_timeout_ms();
    start();
    run();
    EXPECT_TRUE(npu->retired());
    EXPECT_TRUE(npu->team().hung());
    run();
    // Given up for good: the runtime, which may block in any call, gets none.
    EXPECT_FALSE(npu->npu().allocate(4096, 0).ok());
    EXPECT_FALSE(npu->npu().create_context({element::i8, 1, 64, 64}, 0, 0).ok());
    // The hung thread still refers to the device: nothing of it may be freed.
    static auto & kept = *new std::vector<std::pair<test::matmul_rig *, engine *>>;
    kept.emplace_back(rig.release(), npu.release());
}

TEST_F(failing, wrong_data_is_found_and_corrected_by_the_check_mode) {
    faults.of_job = [](int job) { return job == 2 ? test::fault::wrong_data : test::fault::none; };
    wishes.check = true;
    start();
    run();
    EXPECT_EQ(npu->count().shares_wrong, 1u);
    EXPECT_GT(npu->count().shares_checked, 1u);
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
    EXPECT_EQ(npu->count().shares_wrong, 0u);
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

TEST_F(failing, what_failed_is_tried_again_once_for_each_generation_of_weights) {
    start();
    faults.allocation_max = 1000;
    staging_arena & arena = npu->jobs().arena(0);
    EXPECT_EQ(arena.take(4096, 4096, false)->window, nullptr);
    faults.allocation_max = SIZE_MAX;
    npu->jobs().retry_failures(1);
    arena.clear();
    EXPECT_NE(arena.take(4096, 4096, false)->window, nullptr);
    // A second stream that meets the same generation must not take away what the first one uses by now.
    faults.allocation_max = 1000;
    const staging_slot * used = arena.take(size_t(1) << 20, size_t(1) << 20, false);
    EXPECT_EQ(used->window, nullptr);
    npu->jobs().retry_failures(1);
    EXPECT_EQ(used->window, nullptr);
    EXPECT_NE(used->data, nullptr);
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
