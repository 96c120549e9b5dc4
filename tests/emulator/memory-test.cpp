// Memory: stale data without a sync, snapshots at bind time, views, and everything that runs out.
#include "support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace emulator_test {
namespace {

constexpr int i8 = abi::i8_i8_to_i32;

int open_fds() {
    int count = 0;
    DIR * folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

bool differ(const std::vector<double> & x, const std::vector<double> & y) {
    return x != y;
}

TEST(sync, missing_towards_the_device_leaves_old_inputs) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    ASSERT_EQ(r.bind(), 0);
    ASSERT_EQ(r.run(), 0);
    r.sync_output();
    EXPECT_EQ(r.output(), std::vector<double>(3 * 64, 0.0)); // the device saw its zeros
    ASSERT_EQ(r.bind_run_sync(), 0);
    const std::vector<double> first = r.reference();
    EXPECT_EQ(r.output(), first);
    r.fill(2);
    ASSERT_EQ(r.run(), 0);
    r.sync_output();
    EXPECT_EQ(r.output(), first);
    ASSERT_TRUE(differ(r.reference(), first));
    r.sync_inputs(); // native operands are read in place: no new binding needed
    ASSERT_EQ(r.run(), 0);
    r.sync_output();
    EXPECT_EQ(r.output(), r.reference());
}

TEST(sync, missing_from_the_device_leaves_old_output) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    r.sync_inputs();
    ASSERT_EQ(r.bind(), 0);
    ASSERT_EQ(r.run(), 0);
    EXPECT_EQ(r.output(), std::vector<double>(3 * 64, 0.0));
    r.sync_output();
    EXPECT_EQ(r.output(), r.reference());
}

EMULATOR_SCENARIO(run_without_sync) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    if (r.bind() != 0 || r.run() != 0) return 1;
    return r.output() == r.reference() ? 0 : 2;
}

TEST(sync, is_not_needed_without_shadow_copies) {
    EXPECT_EQ(run_child("run_without_sync", {{"RKNN_EMU_SHADOW", "0"}}).exit_code, 0);
    EXPECT_EQ(run_child("run_without_sync", {{"RKNN_EMU_SHADOW", "1"}}).exit_code, 2);
}

TEST(sync, counts_calls_and_bytes_and_refuses_bad_modes) {
    const rig r(info(i8, 3, 64, 64));
    const rknn_emu_stats before = stats();
    ASSERT_EQ(rt().mem_sync(r.ctx, r.a, abi::sync_bidirectional), 0);
    EXPECT_EQ(rt().mem_sync(r.ctx, r.a, 0), abi::param_invalid);
    EXPECT_EQ(rt().mem_sync(r.ctx, r.a, 4), abi::param_invalid);
    const rknn_emu_stats after = stats();
    EXPECT_EQ(after.syncs_to_device - before.syncs_to_device, 1u);
    EXPECT_EQ(after.bytes_from_device - before.bytes_from_device, 3u * 64);
}

TEST(snapshots, operands_that_are_not_native_are_taken_when_bound) {
    for (const int b_layout : {abi::layout_norm, abi::layout_tp_norm}) {
        rig r(info(i8, 3, 64, 64, b_layout, abi::layout_norm));
        r.fill(1);
        ASSERT_EQ(r.bind_run_sync(), 0);
        const std::vector<double> first = r.reference();
        r.fill(2);
        r.sync_inputs();
        ASSERT_EQ(r.run(), 0);
        r.sync_output();
        EXPECT_EQ(r.output(), first) << "written after binding, not bound again";
        ASSERT_EQ(r.bind("AB"), 0);
        ASSERT_EQ(r.run(), 0);
        r.sync_output();
        EXPECT_EQ(r.output(), r.reference());
        ASSERT_TRUE(differ(r.reference(), first));
    }
}

TEST(views, share_bytes_at_an_offset) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    const size_t offset = 8192 + 64;
    abi::tensor_mem * pool = rt().create_mem(r.ctx, 65536);
    ASSERT_NE(pool, nullptr);
    const int fds = open_fds();
    abi::tensor_mem * view = rt().create_mem_from_fd(r.ctx, pool->fd, pool->virt_addr, r.io.B.size, int32_t(offset));
    ASSERT_NE(view, nullptr);
    EXPECT_EQ(open_fds(), fds);
    EXPECT_EQ(view->offset, int32_t(offset));
    auto * bytes = static_cast<uint8_t *>(pool->virt_addr);
    std::memcpy(bytes + offset, r.b->virt_addr, r.io.B.size);
    std::memset(bytes, 99, 64);
    rt().mem_sync(r.ctx, pool, abi::sync_to_device);
    r.sync_inputs();
    ASSERT_EQ(r.bind("AC"), 0);
    ASSERT_EQ(rt().matmul_set_io_mem(r.ctx, view, &r.io.B), 0);
    ASSERT_EQ(r.run(), 0);
    r.sync_output();
    EXPECT_EQ(r.output(), r.reference());
    EXPECT_EQ(rt().destroy_mem(r.ctx, view), 0);
    bytes[0] = 1; // the view did not own the pool
    EXPECT_EQ(rt().destroy_mem(r.ctx, pool), 0);
}

// Prints the first byte before and inside a view, as the device has them, after a sync of the view alone.
EMULATOR_SCENARIO(view_sync) {
    rig r(info(i8, 3, 64, 64));
    abi::tensor_mem * pool = rt().create_mem(r.ctx, 65536);
    abi::tensor_mem * view = rt().create_mem_from_fd(r.ctx, pool->fd, pool->virt_addr, 4096, 8192);
    auto * bytes = static_cast<uint8_t *>(pool->virt_addr);
    std::memset(bytes, 99, 65536);
    if (rt().mem_sync(r.ctx, view, abi::sync_to_device) != 0) return 1;
    rt().mem_sync(r.ctx, pool, abi::sync_from_device);
    std::printf("%d %d\n", bytes[8191], bytes[8192]);
    return 0;
}

TEST(views, a_sync_does_nothing_or_reaches_its_range_only) {
    EXPECT_EQ(run_child("view_sync").out, "0 0\n");
    EXPECT_EQ(run_child("view_sync", {{"RKNN_EMU_VIEW_SYNC", "1"}}).out, "0 99\n");
}

TEST(views, are_checked_against_the_allocation) {
    const rig r(info(i8, 3, 64, 64));
    abi::tensor_mem * pool = rt().create_mem(r.ctx, 8192);
    EXPECT_EQ(rt().create_mem_from_fd(r.ctx, pool->fd, pool->virt_addr, 4096, 4097), nullptr);
    EXPECT_EQ(rt().create_mem_from_fd(r.ctx, pool->fd, pool->virt_addr, 4096, -1), nullptr);
    EXPECT_EQ(rt().create_mem_from_fd(r.ctx, -1, pool->virt_addr, 4096, 0), nullptr);
    EXPECT_EQ(rt().create_mem_from_fd(r.ctx, pool->fd, nullptr, 4096, 0), nullptr);
    rt().destroy_mem(r.ctx, pool);
}

TEST(views, of_a_duplicate_and_of_a_foreign_descriptor) {
    rig r(info(i8, 3, 64, 64));
    r.fill(1);
    const int copy = dup(r.b->fd);
    const int foreign = memfd_create("foreign", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(foreign, 8192), 0);
    void * map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, foreign, 0);
    std::memcpy(static_cast<uint8_t *>(map) + 128, r.a->virt_addr, r.io.A.size);
    abi::tensor_mem * b = rt().create_mem_from_fd(r.ctx, copy, r.b->virt_addr, r.io.B.size, 0);
    abi::tensor_mem * a = rt().create_mem_from_fd(r.ctx, foreign, map, r.io.A.size, 128);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(rt().create_mem_from_fd(r.ctx, foreign, map, 8192, 128), nullptr);
    rt().mem_sync(r.ctx, a, abi::sync_to_device);
    rt().mem_sync(r.ctx, r.b, abi::sync_to_device); // the allocation that b duplicates
    ASSERT_EQ(r.bind("C"), 0);
    ASSERT_EQ(rt().matmul_set_io_mem(r.ctx, a, &r.io.A), 0);
    ASSERT_EQ(rt().matmul_set_io_mem(r.ctx, b, &r.io.B), 0);
    ASSERT_EQ(r.run(), 0);
    r.sync_output();
    EXPECT_EQ(r.output(), r.reference());
    for (abi::tensor_mem * mem : {a, b})
        EXPECT_EQ(rt().destroy_mem(r.ctx, mem), 0);
    munmap(map, 8192);
    close(foreign);
    close(copy);
}

TEST(misuse, destroyed_memory_is_noticed) {
    rig r(info(i8, 1, 32, 32));
    r.fill(1);
    ASSERT_EQ(r.bind_run_sync(), 0);
    const rknn_emu_stats before = stats();
    ASSERT_EQ(rt().destroy_mem(r.ctx, r.a), 0);
    EXPECT_EQ(r.run(), abi::fail);
    EXPECT_EQ(rt().destroy_mem(r.ctx, r.a), abi::fail);
    r.a = nullptr;
    EXPECT_EQ(stats().misuses - before.misuses, 2u);
}

TEST(accounts, descriptors_and_bytes_come_and_go) {
    { const rig warm_up(info(i8, 1, 32, 32)); }
    const int fds = open_fds();
    const rknn_emu_stats before = stats();
    {
        const rig r(info(i8, 1, 64, 64, abi::layout_native, abi::layout_native, 3));
        EXPECT_EQ(open_fds(), fds + 4); // context and three allocations
        EXPECT_EQ(stats().fds_held, before.fds_held + 4);
        EXPECT_EQ(stats().bytes_of_domain[3], before.bytes_of_domain[3] + 400 * 1024 + 3 * 4096);
        EXPECT_EQ(stats().objects_created, before.objects_created + 4);
    }
    EXPECT_EQ(open_fds(), fds);
    EXPECT_EQ(stats().bytes_live, before.bytes_live);
    EXPECT_EQ(stats().mems_live, before.mems_live);
    EXPECT_EQ(stats().contexts_live, before.contexts_live);
}

// Prints how many allocations of 1 MiB succeed in domain 0 and then in domain 1.
EMULATOR_SCENARIO(fill_two_domains) {
    for (int domain = 0; domain < 2; domain++) {
        abi::matmul_info i = info(i8, 1, 32, 32, abi::layout_native, abi::layout_native, domain);
        abi::matmul_io_attr io{};
        abi::context ctx = 0;
        if (rt().matmul_create(&ctx, &i, &io) != 0) return 1;
        int count = 0;
        while (count < 100 && rt().create_mem(ctx, 1 << 20))
            count++;
        std::printf("%d ", count);
    }
    return 0;
}

TEST(limits, address_space_of_a_domain) {
    const child_result r = run_child("fill_two_domains", {{"RKNN_EMU_DOMAIN_MIB", "8"}, {"RKNN_EMU_CONTEXT_KIB", "0"}});
    EXPECT_EQ(r.out, "8 8 ");
    EXPECT_NE(r.err.find("failed to allocate handle"), std::string::npos) << r.err;
}

TEST(limits, memory_of_the_board) {
    EXPECT_EQ(run_child("fill_two_domains",
                        {{"RKNN_EMU_MEMORY_MIB", "10"}, {"RKNN_EMU_DOMAIN_MIB", "8"}, {"RKNN_EMU_CONTEXT_KIB", "0"}})
                  .out,
              "8 2 ");
}

TEST(limits, descriptors_of_the_setting) {
    const child_result r = run_child("fill_two_domains", {{"RKNN_EMU_FDS", "12"}});
    EXPECT_EQ(r.out, "11 ");
    EXPECT_EQ(r.exit_code, 1); // no descriptor left for the second context
    EXPECT_NE(r.err.find("failed to convert handle to fd"), std::string::npos) << r.err;
    EXPECT_EQ(run_child("fill_two_domains", {{"RKNN_EMU_FDS", "12"}, {"RKNN_EMU_CONTEXT_FDS", "3"}}).out, "9 ");
}

EMULATOR_SCENARIO(fill_under_rlimit) {
    // UBSan's first look at a class needs descriptors (a pipe, to probe memory): let it see ours before they run out.
    { const rig warm_up(info(i8, 1, 32, 32)); }
    const rig r(info(i8, 1, 32, 32));
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit limit = before;
    limit.rlim_cur = rlim_t(open_fds() - 1 + 5); // readdir's own descriptor, "." and ".." counted
    setrlimit(RLIMIT_NOFILE, &limit);
    int count = 0;
    while (count < 100 && rt().create_mem(r.ctx, 4096))
        count++;
    const bool context_refused = create_code(info(i8, 1, 32, 32)) < 0;
    setrlimit(RLIMIT_NOFILE, &before); // sanitizers open files at exit
    std::printf("%d", count > 0 && count < 10 && context_refused);
    return 0;
}

TEST(limits, descriptors_of_the_process) {
    const child_result r = run_child("fill_under_rlimit");
    EXPECT_EQ(r.out, "1");
    EXPECT_NE(r.err.find("failed to convert handle to fd"), std::string::npos) << r.err;
}

TEST(limits, size_of_one_allocation) {
    const rig r(info(i8, 1, 32, 32));
    const uint64_t largest = (uint64_t(2) << 30) - (64 << 10);
    abi::tensor_mem * mem = rt().create_mem2(r.ctx, largest, 0);
    EXPECT_NE(mem, nullptr);
    if (mem) rt().destroy_mem(r.ctx, mem);
    EXPECT_EQ(rt().create_mem2(r.ctx, largest + 1, 0), nullptr);
    EXPECT_EQ(rt().create_mem(r.ctx, 0), nullptr);
}

TEST(memory, is_page_aligned_and_zero) {
    const rig r(info(i8, 1, 32, 32));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(r.a->virt_addr) % 4096, 0u);
    const auto * bytes = static_cast<const uint8_t *>(r.a->virt_addr);
    EXPECT_TRUE(std::all_of(bytes, bytes + r.a->size, [](uint8_t x) { return x == 0; }));
    EXPECT_EQ(r.a->offset, 0);
}

TEST(memory, uncached_needs_no_sync) {
    rig r(info(i8, 1, 32, 32));
    abi::tensor_mem * c = rt().create_mem2(r.ctx, r.io.C.size, 2);
    ASSERT_NE(c, nullptr);
    rt().destroy_mem(r.ctx, r.c);
    r.c = c;
    r.fill(1);
    r.sync_inputs();
    ASSERT_EQ(r.bind(), 0);
    ASSERT_EQ(r.run(), 0);
    EXPECT_EQ(r.output(), r.reference());
}

} // namespace
} // namespace emulator_test
