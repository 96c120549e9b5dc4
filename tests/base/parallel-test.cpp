// parallel_for covers every index once and carries exceptions out.
#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace rknpu {
namespace {

TEST(parallel_for, covers_every_index_once) {
    for (const size_t count : {0, 1, 7, 64, 1000}) {
        for (const size_t grain : {0, 1, 3, 32, 5000}) {
            std::vector<std::atomic<int>> seen(count);
            parallel_for(count, grain, [&](size_t begin, size_t end) {
                for (size_t i = begin; i < end; i++)
                    seen[i]++;
            });
            for (size_t i = 0; i < count; i++)
                EXPECT_EQ(seen[i], 1) << count << " " << grain << " " << i;
        }
    }
}

TEST(parallel_for, rethrows) {
    EXPECT_THROW(parallel_for(100, 1,
                              [](size_t begin, size_t) {
                                  if (begin == 57) throw std::runtime_error("57");
                              }),
                 std::runtime_error);
}

} // namespace
} // namespace rknpu
