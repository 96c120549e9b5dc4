// Versions of the vendor's driver and runtime: the oldest that can work, and those that published work ran with.
//
// Invariant: every line about a version takes it from here; docs/start.md is compared by a test. Nothing of this
// project has run with any of them yet.
#pragma once

namespace rknpu {

// Kernel driver rknpu. Several address spaces came with 0.9.6 (vendor kernel, RKNPU_MAX_IOMMU_DOMAIN_NUM; radxa/kernel
// 769a6055). 0.9.8 is what unimatrix099, Mojo24x7 and pty819 (rk-llama.cpp) measured with, and what RKLLM 1.2 asks for.
constexpr const char * oldest_driver = "0.9.6";
constexpr const char * known_driver = "0.9.8";

// librknnrt.so. The matmul interface of rknn/abi.h is that of 2.1.0; 2.3.2 is what the same authors used.
constexpr const char * oldest_runtime = "2.1.0";
constexpr const char * known_runtime = "2.3.2";

} // namespace rknpu
