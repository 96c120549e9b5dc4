// What the NPU path did, for the summary, the tests and the tools.
//
// Invariant: only ever added to; any thread may add, any thread may read a figure that is a moment old.
#pragma once

#include <atomic>
#include <cstdint>

namespace rknpu {

// X(member, meaning)
#define RKNPU_COUNTERS(X)                                                                                              \
    X(jobs, "jobs that the NPU was given")                                                                             \
    X(sibling_lists, "lists of jobs with the experts of several tensors, such as gate and up")                         \
    X(jobs_failed, "jobs that ended with an error or not at all")                                                      \
    X(jobs_on_cpu, "jobs computed on the CPU instead, for whatever reason")                                            \
    X(shares_checked, "parts of jobs (one thread's) recomputed by the check mode")                                     \
    X(shares_wrong, "of those, the ones whose result was wrong")                                                       \
    X(rows_not_finite, "activation rows with a NaN, whose output is NaN, or an infinity: those the CPU multiplies")    \
    X(domain_switches, "jobs of another domain than the job before, at each of which all cores idle for a moment")     \
    X(weight_bytes, "bytes of weights that jobs referred to")                                                          \
    X(activation_bytes, "bytes of quantized activations written")                                                      \
    X(output_bytes, "bytes of accumulators read")                                                                      \
    X(quantize_ns, "nanoseconds of the first thread in quantizing and packing activations")                            \
    X(npu_wait_ns, "nanoseconds of the first thread in waiting for the NPU")                                           \
    X(dequantize_ns, "nanoseconds of the first thread in reading outputs")                                             \
    X(graph_ns, "nanoseconds in computing graphs")                                                                     \
    X(graphs, "graphs computed")                                                                                       \
    X(graphs_mirrored, "graphs that had to be prepared anew")                                                          \
    X(load_ns, "nanoseconds in which weights were brought to the NPU, without the allocation of its memory")           \
    X(disk_bytes, "bytes of packed weights read from disk")                                                            \
    X(contexts, "runtime contexts created")                                                                            \
    X(memories, "NPU memories and windows created")

struct counters {
#define X(member, meaning) std::atomic<uint64_t> member{0};
    RKNPU_COUNTERS(X)
#undef X
};

} // namespace rknpu
