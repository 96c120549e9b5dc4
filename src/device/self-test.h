// A small product whose result is known, through the same steps as real work: a window into an allocation, syncs, a job
// of one core.
//
// Invariant: every accumulator of the result is compared; a runtime whose caches, windows or arithmetic are not what we
// believe is found out before it writes a word of text.
#pragma once

#include "device/core-team.h"

namespace rknpu {

// status: incompatible (a wrong product), or what the runtime answered.
status test_core(device & npu, core_team & team, element type, int core);

} // namespace rknpu
