// The product that shows whether a format works: good on a good NPU, and not good on one that errs.
#include "matmul/format-test.h"

#include "support/emulated.h"
#include "support/faulty-device.h"
#include "team.h"

namespace rknpu {
namespace {

std::unique_ptr<engine> engine_with(test::fault_plan & faults) {
    settings s = test::quiet_settings();
    s.check = true;
    return std::make_unique<engine>(std::unique_ptr<device>(new test::faulty_device(test::open_device(), faults)), s);
}

TEST(format_outcome, every_format_is_within_its_resolution) {
    test::fault_plan none;
    const auto npu = engine_with(none);
    for (const format f : all_formats) {
        const auto outcome = test_format(*npu, f);
        ASSERT_TRUE(outcome.ok()) << outcome.status().message();
        EXPECT_LT(outcome.value().error, outcome.value().allowed) << format_name(f);
        EXPECT_GT(outcome.value().error, outcome.value().allowed / 20)
            << format_name(f); // the allowance means something
        EXPECT_TRUE(outcome.value().on_npu);
        EXPECT_TRUE(outcome.value().agrees);
    }
    EXPECT_GT(none.jobs, 0);
}

// One bit of one accumulator of each job.
TEST(format_outcome, wrong_data_shows) {
    test::fault_plan wrong;
    wrong.of_job = [](int) { return test::fault::wrong_data; };
    const auto npu = engine_with(wrong);
    const auto outcome = test_format(*npu, format::w4a8);
    ASSERT_TRUE(outcome.ok()) << outcome.status().message();
    EXPECT_FALSE(outcome.value().agrees);
}

TEST(format_outcome, a_job_on_the_cpu_shows) {
    test::fault_plan failing;
    failing.of_job = [](int) { return test::fault::error; };
    const auto npu = engine_with(failing);
    const auto outcome = test_format(*npu, format::w8a8);
    ASSERT_TRUE(outcome.ok()) << outcome.status().message();
    EXPECT_LT(outcome.value().error, outcome.value().allowed);
    EXPECT_FALSE(outcome.value().on_npu);
}

} // namespace
} // namespace rknpu
