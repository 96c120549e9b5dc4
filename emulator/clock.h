// The virtual clock: what the calls of this process would have taken on the board that the settings describe. Modelled,
// with the functions of src/plan that the planner and the predictor use; nothing here looks at the time of the PC.
//
// Model: a run begins when its core is free, when its operands are bound and the syncs of A and B towards the device
// are over, and when the run that the same thread made before is over; cores that stream at once share the memory
// (plan/timeline.h). The host is infinitely fast, except for rknn_matmul_set_io_mem and rknn_mem_sync: a thread that
// has run jobs pays for them on the core of its last run, all others on one clock of the host. A sync towards the
// device comes after all runs that have returned: that is how programs tell that new data depends on old results.
// Invariant: the outcome depends on the order of the calls that wait for each other, not on how long the PC takes; with
// threads that do not wait for each other, what overlaps may vary. A run that fails takes no time.
#pragma once

#include "plan/cost.h"

#include <cstdint>

namespace rknn_emu {

struct counters;

// When a run on core that is submitted now may begin; operands_us: the latest that the calls below said of its A, B, C.
double clock_ready(int core, double operands_us);
// The run is over. Its place in the core's queue is that of this call.
void clock_run(int core, const rknpu::npu_run & run, int domain, double ready_us);
// The calls of the host that take time; where one returns a time, a run that needs the operand begins no sooner.
double clock_to_device(uint64_t bytes);
void clock_from_device(uint64_t bytes);
double clock_bind();

// Writes time and energy until now into the counters.
void read_clock(counters & into);

} // namespace rknn_emu
