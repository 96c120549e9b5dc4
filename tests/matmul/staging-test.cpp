// Staging of activations and outputs: which windows are kept, and how few allocations a domain gets along with.
#include "matmul/job-cache.h"
#include "support/emulated.h"

#include <gtest/gtest.h>

#include <set>

namespace rknpu {
namespace {

TEST(staging, windows_of_routings_are_dropped_and_those_of_others_kept) {
    const auto npu = test::open_device();
    counters count;
    const std::atomic<bool> closed{false};
    staging_arena arena(*npu, count, 0, thrift::none, closed);
    const staging_slot * kept = arena.take(4096, 4096, false, true);
    const device_memory * window = kept->window.get();
    ASSERT_NE(window, nullptr);
    for (size_t routing = 1; routing < 3000; routing++) {
        arena.clear_for_routing();
        EXPECT_EQ(arena.take(4096, 4096, false), kept); // a routing may use it too
        arena.take(routing * 16, 8192, false);
        EXPECT_LE(arena.n_windows(), 520u);
    }
    EXPECT_EQ(kept->window.get(), window);
}

TEST(staging, staging_of_one_of_many_domains_takes_few_allocations) {
    EXPECT_EQ(thrift_of(1), thrift::none);
    EXPECT_EQ(thrift_of(3), thrift::some);
    EXPECT_EQ(thrift_of(4), thrift::much);
    const auto npu = test::open_device();
    counters count;
    domain_ledger ledger(16, uint64_t(1) << 32);
    for (int domain = 0; domain < 4; domain++)
        EXPECT_TRUE(ledger.take(domain, 1));
    job_cache cache(*npu, count, ledger);
    std::set<const device_memory *> allocations;
    for (const size_t M : {1, 2, 4, 16, 32, 96, 128}) {
        for (const size_t N : {64, 1408, 2816, 4096}) {
            for (int core = 0; core < 3; core++)
                allocations.insert(&cache.output({element::i8, M, 2816, N}, core, 0, 1)->whole());
        }
    }
    EXPECT_LE(allocations.size(), 6u);
    for (const size_t bytes : {1 << 10, 1 << 20, 2 << 20, 20 << 20})
        allocations.insert(&cache.arena(1).take(bytes, bytes, bytes < 4096, true)->window->whole());
    EXPECT_LE(allocations.size(), 10u);
}

// The activations of a layer of Gemma 4 26B A4B in a batch of 512 tokens, as slots of jobs.
TEST(staging, of_many_domains_no_more_is_synced_than_two_and_a_half_times_what_it_holds) {
    constexpr size_t kib = 1024;
    const struct {
        const char * what;
        size_t n, bytes;
    } stages[] = {{"attention", 2, 704 * kib},     {"its output", 2, 1024 * kib},    {"router", 2, 1408 * kib},
                  {"experts, up", 128, 144 * kib}, {"experts, down", 128, 48 * kib}, {"long rows", 2, 2048 * kib}};
    const auto npu = test::open_device();
    const std::atomic<bool> closed{false};
    for (const auto & s : stages) {
        counters count;
        staging_arena arena(*npu, count, 0, thrift::much, closed);
        for (size_t i = 0; i < s.n; i++)
            ASSERT_NE(arena.take(s.bytes, s.bytes, false), nullptr) << s.what;
        EXPECT_TRUE(arena.sync(arena.blocks_in_use()).ok());
        EXPECT_LE(double(count.activation_bytes), 2.5 * double(s.n * s.bytes)) << s.what;
    }
}

} // namespace
} // namespace rknpu
