// Opening a runtime: each way it can be the wrong file has its line.
#include "device/rknn/loader.h"
#include "device/rknn/rknn-device.h"

#include "support/emulated.h"

#include <fstream>

namespace rknpu {
namespace {

void expect_refusal(const std::string & path, errc code, const std::string & words) {
    const auto runtime = load_runtime(path);
    ASSERT_FALSE(runtime.ok());
    EXPECT_EQ(runtime.status().code(), code);
    EXPECT_NE(runtime.status().message().find(words), std::string::npos) << runtime.status().message();
    EXPECT_EQ(runtime.status().message().find('\n'), std::string::npos);
}

TEST(loader, missing_file) {
    expect_refusal("/nowhere/librknnrt.so", errc::not_found, "does not exist");
}

TEST(loader, not_a_library) {
    const std::string path = testing::TempDir() + "rknpu-not-a-library-" + std::to_string(getpid());
    std::ofstream(path) << "hello";
    expect_refusal(path, errc::incompatible, "cannot load");
    unlink(path.c_str());
}

TEST(loader, another_library) {
    expect_refusal("libm.so.6", errc::not_found, "does not exist");
}

TEST(loader, a_library_that_is_no_runtime) {
    // This very program's C library, by its path.
    std::ifstream maps("/proc/self/maps");
    std::string line, path;
    while (std::getline(maps, line)) {
        if (line.find("/libm.so") != std::string::npos || line.find("/libc.so") != std::string::npos)
            path = line.substr(line.find('/'));
    }
    ASSERT_FALSE(path.empty());
    expect_refusal(path, errc::incompatible, "not an RKNN runtime");
}

TEST(loader, too_old) {
    expect_refusal(RKNPU_TEST_OLD, errc::incompatible, "older than 2.0.0");
}

TEST(loader, a_symbol_missing) {
    expect_refusal(RKNPU_TEST_BROKEN, errc::incompatible, "lacks the function rknn_matmul_run");
}

TEST(loader, the_emulator_is_recognised) {
    const auto runtime = load_runtime(RKNPU_TEST_EMULATOR);
    ASSERT_TRUE(runtime.ok()) << runtime.status().message();
    EXPECT_TRUE(runtime.value().emulated);
}

TEST(loader, unsupported_chip) {
    test::own_npu();
    const auto runtime = load_runtime(RKNPU_TEST_EMULATOR);
    const auto opened = open_rknn_device(runtime.value(), "rk3576");
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.status().code(), errc::unsupported);
}

} // namespace
} // namespace rknpu
