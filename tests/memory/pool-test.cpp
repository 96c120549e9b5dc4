// Weight pools: few allocations, no overlap, an account that is given back.
#include "memory/pool.h"

#include "support/fake-device.h"

#include <gtest/gtest.h>

namespace rknpu {
namespace {

constexpr size_t mib = size_t(1) << 20;

TEST(domain_ledger, never_more_than_the_domain) {
    domain_ledger ledger(2, 100);
    EXPECT_TRUE(ledger.take(0, 60));
    EXPECT_FALSE(ledger.take(0, 41));
    EXPECT_TRUE(ledger.take(0, 40));
    EXPECT_TRUE(ledger.take(1, 100));
    EXPECT_EQ(ledger.available(0), 0u);
    ledger.give_back(0, 60);
    EXPECT_EQ(ledger.available(0), 60u);
    EXPECT_EQ(ledger.used(1), 100u);
}

TEST(weight_pool, a_small_model_gets_one_small_allocation) {
    test::fake_device npu;
    domain_ledger ledger(1, 4096 * mib);
    weight_pool pool(npu, ledger, 512 * mib, 0);
    size_t left = 10 * mib;
    for (int i = 0; i < 10; i++, left -= mib)
        ASSERT_TRUE(pool.reserve(mib, left).ok());
    EXPECT_EQ(npu.allocations, std::vector<size_t>{10 * mib});
}

TEST(weight_pool, blocks_are_apart_and_on_pages) {
    test::fake_device npu;
    domain_ledger ledger(1, 4096 * mib);
    weight_pool pool(npu, ledger, 4 * mib, 0);
    std::vector<weight_block> blocks;
    for (int i = 0; i < 20; i++)
        blocks.push_back(pool.reserve(size_t(300000 + i * 1000), 20 * mib).value());
    for (size_t i = 0; i < blocks.size(); i++) {
        EXPECT_EQ(blocks[i].offset % 4096, 0u);
        EXPECT_LE(blocks[i].offset + blocks[i].bytes, blocks[i].memory->bytes());
        for (size_t j = 0; j < i; j++) {
            if (blocks[i].memory != blocks[j].memory) continue;
            EXPECT_TRUE(blocks[i].offset >= blocks[j].offset + blocks[j].bytes ||
                        blocks[j].offset >= blocks[i].offset + blocks[i].bytes);
        }
    }
    EXPECT_EQ(npu.allocations.size(), 2u);
}

TEST(weight_pool, asks_for_less_where_the_runtime_has_no_large_piece) {
    test::fake_device npu;
    npu.largest = 100 * mib;
    domain_ledger ledger(1, 4096 * mib);
    weight_pool pool(npu, ledger, 512 * mib, 0);
    ASSERT_TRUE(pool.reserve(mib, 1000 * mib).ok());
    EXPECT_EQ(npu.allocations, std::vector<size_t>{64 * mib});
    EXPECT_EQ(ledger.used(0), 64 * mib);
    const auto refused = pool.reserve(200 * mib, 200 * mib);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status().code(), errc::out_of_memory);
    EXPECT_EQ(ledger.used(0), 64 * mib);
}

TEST(weight_pool, a_full_domain_refuses_and_a_closed_pool_gives_back) {
    test::fake_device npu;
    domain_ledger ledger(1, 10 * mib);
    {
        weight_pool pool(npu, ledger, 512 * mib, 0);
        ASSERT_TRUE(pool.reserve(8 * mib, 100 * mib).ok());
        EXPECT_TRUE(pool.reserve(2 * mib, 2 * mib).ok());
        const auto refused = pool.reserve(4096, 4096);
        ASSERT_FALSE(refused.ok());
        EXPECT_NE(refused.status().message().find("full"), std::string::npos);
    }
    EXPECT_EQ(ledger.used(0), 0u);
    EXPECT_EQ(npu.live, 0);
}

} // namespace
} // namespace rknpu
