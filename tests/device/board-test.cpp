// What a board is, from planted files.
#include "device/board.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace rknpu {
namespace {

class board : public testing::Test {
protected:
    std::string root = testing::TempDir() + "rknpu-board-" + std::to_string(getpid());
    void TearDown() override { std::filesystem::remove_all(root); }
    void plant(const std::string & path, const std::string & content) {
        std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
        std::ofstream(root + path, std::ios::binary) << content;
    }
};

TEST_F(board, chip_from_the_device_tree) {
    EXPECT_EQ(detect_chip(root), "");
    using namespace std::string_literals;
    plant("/proc/device-tree/compatible", "xunlong,orangepi-5\0rockchip,rk3588s\0"s);
    EXPECT_EQ(detect_chip(root), "rk3588s");
    plant("/proc/device-tree/compatible", "rockchip,rk3588-evb1-lp4-v10\0rockchip,rk3588\0"s);
    EXPECT_EQ(detect_chip(root), "rk3588");
    plant("/proc/device-tree/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0"s);
    EXPECT_EQ(detect_chip(root), "");
    plant("/proc/device-tree/compatible", "rockchip,rk3576"s);
    EXPECT_EQ(detect_chip(root), "rk3576");
}

TEST_F(board, memory_of_the_machine) {
    EXPECT_EQ(machine_memory(root).total, 0u);
    plant("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:         1000 kB\nMemAvailable:    9000000 kB\n"
                           "HugePages_Total:       0\n");
    EXPECT_EQ(machine_memory(root).total, uint64_t(16000000) * 1024);
    EXPECT_EQ(machine_memory(root).available, uint64_t(9000000) * 1024);
}

TEST_F(board, no_driver_node) {
    const status s = explain_open_failure(root);
    EXPECT_EQ(s.code(), errc::not_found);
    EXPECT_NE(s.message().find("vendor kernel"), std::string::npos);
}

TEST_F(board, a_node_without_permission_names_the_cure) {
    if (geteuid() == 0) { // root may open anything: drop to nobody in a child
        plant("/sys/class/drm/renderD129/device/uevent", "DRIVER=RKNPU\n");
        plant("/dev/dri/renderD129", "");
        chmod((root + "/dev/dri/renderD129").c_str(), 0600);
        std::filesystem::permissions(root, std::filesystem::perms::all);
        EXPECT_EXIT(
            {
                if (setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
                const status s = explain_open_failure(root);
                const bool ok = s.code() == errc::permission && s.message().find("renderD129") != std::string::npos &&
                                s.message().find("usermod -aG render") != std::string::npos;
                _exit(ok ? 0 : 1);
            },
            testing::ExitedWithCode(0), "");
    } else {
        plant("/sys/class/drm/renderD129/device/uevent", "DRIVER=RKNPU\n");
        plant("/dev/dri/renderD129", "");
        chmod((root + "/dev/dri/renderD129").c_str(), 0000);
        EXPECT_EQ(explain_open_failure(root).code(), errc::permission);
    }
}

TEST_F(board, other_drm_nodes_are_not_the_npu) {
    plant("/sys/class/drm/renderD128/device/uevent", "DRIVER=panthor\n");
    plant("/dev/dri/renderD128", "");
    EXPECT_EQ(explain_open_failure(root).code(), errc::not_found);
    plant("/dev/rknpu", "");
    EXPECT_EQ(explain_open_failure(root).code(), errc::device_failed);
}

} // namespace
} // namespace rknpu
