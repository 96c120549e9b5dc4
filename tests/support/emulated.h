// Opens the device under test: the emulator, or the runtime that RKNPU_TEST_RUNTIME names (on a board).
//
// Invariant: the emulated NPU of a test program is its own (RKNN_EMU_NPU), so that tests running side by side do not
// meet in the panic detector.
#pragma once

#include "device/rknn/rknn-device.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace rknpu::test {

inline std::string runtime_path() {
    const char * given = std::getenv("RKNPU_TEST_RUNTIME");
    return given ? given : RKNPU_TEST_EMULATOR;
}

// Call before the library is first loaded.
inline void own_npu() {
    const std::string path = testing::TempDir() + "rknpu-test-npu-" + std::to_string(getpid());
    setenv("RKNN_EMU_NPU", path.c_str(), 0);
}

inline std::unique_ptr<device> open_device() {
    own_npu();
    auto runtime = load_runtime(runtime_path());
    EXPECT_TRUE(runtime.ok()) << runtime.status().message();
    auto opened = open_rknn_device(runtime.value(), "");
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return std::move(opened.value());
}

} // namespace rknpu::test
