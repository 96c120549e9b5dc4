// The driver threads: order, errors, many waiters, and a job that never ends.
#include "device/core-team.h"

#include "support/fake-device.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

namespace rknpu {
namespace {

class scripted_context : public job_context {
public:
    explicit scripted_context(std::function<status()> on_run) : on_run_(std::move(on_run)) {}
    status bind(device_memory &, device_memory &, device_memory &) override { return {}; }
    status run() override { return on_run_(); }

private:
    std::function<status()> on_run_;
};

struct team_fixture : testing::Test {
    test::fake_device npu;
    std::unique_ptr<device_memory> memory = std::move(npu.allocate(64, 0).value());
    npu_job job(job_context & context) { return {&context, memory.get(), memory.get(), memory.get()}; }
};

using core_team_test = team_fixture;

TEST_F(core_team_test, jobs_of_a_core_run_in_order) {
    core_team team(npu, 3, std::chrono::seconds(20), std::chrono::microseconds(10));
    std::vector<int> seen;
    for (int round = 0; round < 200; round++) {
        std::vector<std::unique_ptr<scripted_context>> contexts;
        uint64_t last = 0;
        for (size_t i = 0; i < core_team::queue_length; i++) {
            contexts.push_back(
                std::make_unique<scripted_context>([&seen, i] { return seen.push_back(int(i)), status(); }));
            last = team.submit(1, job(*contexts.back()));
        }
        EXPECT_TRUE(team.wait(1, last).ok());
        EXPECT_EQ(seen, (std::vector<int>{0, 1, 2, 3}));
        seen.clear();
    }
}

TEST_F(core_team_test, every_waiter_learns_the_outcome) {
    core_team team(npu, 2, std::chrono::seconds(20), std::chrono::microseconds(0));
    scripted_context failing([] { return status(errc::device_failed, "broken"); });
    scripted_context fine([] { return status(); });
    for (int round = 0; round < 100; round++) {
        const uint64_t bad = team.submit(0, job(failing)), good = team.submit(1, job(fine));
        std::vector<std::thread> waiters;
        std::atomic<int> failures{0}, successes{0};
        for (int i = 0; i < 4; i++) {
            waiters.emplace_back([&] {
                failures += team.wait(0, bad).code() == errc::device_failed;
                successes += team.wait(1, good).ok();
            });
        }
        for (auto & w : waiters)
            w.join();
        EXPECT_EQ(failures, 4);
        EXPECT_EQ(successes, 4);
    }
    EXPECT_FALSE(team.hung());
}

TEST_F(core_team_test, a_hung_job_does_not_hang_the_caller) {
    // Leaked: the hung thread refers to them for ever.
    static auto * forever = new scripted_context([]() -> status {
        for (;;)
            std::this_thread::sleep_for(std::chrono::hours(1));
    });
    const auto start = std::chrono::steady_clock::now();
    {
        core_team team(npu, 1, std::chrono::milliseconds(50), std::chrono::microseconds(0));
        const uint64_t ticket = team.submit(0, job(*forever));
        EXPECT_EQ(team.wait(0, ticket).code(), errc::timeout);
        EXPECT_TRUE(team.hung());
        EXPECT_EQ(team.wait(0, ticket).code(), errc::timeout);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(core_team_test, what_is_queued_behind_a_hung_job_never_runs) {
    struct shared_state {
        std::atomic<bool> release{false}, second_ran{false}, first_done{false};
    };
    static auto & shared = *new shared_state; // the freed thread may look at it late
    static auto & contexts = *new std::vector<scripted_context>;
    contexts.reserve(2);
    contexts.emplace_back([] {
        while (!shared.release)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        shared.first_done = true;
        return status();
    });
    contexts.emplace_back([] {
        shared.second_ran = true;
        return status();
    });
    static auto & kept = *new std::unique_ptr<device_memory>(std::move(npu.allocate(64, 0).value()));
    auto * team = new core_team(npu, 1, std::chrono::milliseconds(40), std::chrono::microseconds(0));
    const uint64_t first = team->submit(0, {&contexts[0], kept.get(), kept.get(), kept.get()});
    team->submit(0, {&contexts[1], kept.get(), kept.get(), kept.get()});
    EXPECT_EQ(team->wait(0, first).code(), errc::timeout);
    shared.release = true; // the lost interrupt comes after all
    while (!shared.first_done)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(shared.second_ran);
    delete team;
}

} // namespace
} // namespace rknpu
