// The NPU behind the vendor's runtime (or the emulator that stands in for it).
//
// Invariant: all operands are in native layout (row-major activations cost up to 87 times the run, and are converted
// when bound); every context is checked against our layout formulas before it is used.
#pragma once

#include "device/device.h"
#include "device/rknn/loader.h"

namespace rknpu {

// Opens the device: queries versions, tries each element type with a tiny job. status: permission, not_found,
// unsupported, device_failed, each with its cure.
result<std::unique_ptr<device>> open_rknn_device(const rknn_runtime & runtime, const std::string & chip_setting);

} // namespace rknpu
