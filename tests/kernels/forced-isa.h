// A test fixture that runs every test once per instruction set of this machine.
//
// Invariant: while a test body runs, the kernels really use the set in its name; SetUp proves it.
#pragma once

#include "kernels/targets.h"

#include <hwy/detect_targets.h>
#include <hwy/targets.h>

#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

inline std::vector<int64_t> machine_isas() {
    std::vector<int64_t> found;
    hwy::SetSupportedTargetsForTest(0);
    for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
        found.push_back(left & -left);
    return found;
}

class per_isa : public testing::TestWithParam<int64_t> {
protected:
    void SetUp() override {
        hwy::SetSupportedTargetsForTest(GetParam());
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        ASSERT_STREQ(rknpu::kernels::isa_name(), hwy::TargetName(GetParam()))
            << "the forced instruction set is not in use";
    }
    void TearDown() override {
        hwy::SetSupportedTargetsForTest(0);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    }
};

inline std::string isa_of(const testing::TestParamInfo<int64_t> & info) {
    return hwy::TargetName(info.param);
}
