// What one rule of the doctor says of a machine, and the rules that are not in rules.cpp.
//
// Invariant: a rule depends on nothing but the machine.
#pragma once

#include "doctor/rules.h"

namespace rknpu::doctor {

struct verdict {
    severity level;
    std::string what;
    std::string cure = "";
    std::vector<repair> repairs = {};
};

verdict judge_cpu_clock(const machine & m);
verdict judge_npu_clock(const machine & m);
verdict judge_ddr_clock(const machine & m);
verdict judge_big_cores(const machine & m);
verdict judge_online(const machine & m);
verdict judge_interrupt(const machine & m);
verdict judge_heat(const machine & m);

} // namespace rknpu::doctor
