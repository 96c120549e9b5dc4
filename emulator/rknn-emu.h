/* The emulator's own entry points, beside the vendor's C ABI that it stands in for. Plain C.
 *
 * Invariant: a library that exports rknn_emu_version is an emulator and never hardware; no vendor library has the
 * symbol. All counters cover this process since the library was loaded, and only grow, except those called "live" or
 * "held".
 */
#ifndef RKNN_EMU_H
#define RKNN_EMU_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RKNN_EMU_CORES 3
#define RKNN_EMU_DOMAINS 16

/* X(field, meaning) for every scalar counter, in the order of the struct. */
#define RKNN_EMU_COUNTERS(X)                                                                                           \
    X(contexts_created, "matmul contexts made")                                                                        \
    X(contexts_live, "contexts that exist now")                                                                        \
    X(contexts_live_max, "most contexts that existed at once")                                                         \
    X(contexts_distinct, "different (M, K, N, type, core, domain) of the contexts that ran")                           \
    X(mems_created, "memory objects allocated")                                                                        \
    X(mems_live, "allocated memory objects that exist now")                                                            \
    X(mems_live_max, "most of them at once")                                                                           \
    X(views_created, "memory objects made from a file descriptor")                                                     \
    X(views_live, "views that exist now")                                                                              \
    X(views_live_max, "most of them at once")                                                                          \
    X(objects_created, "contexts, memory objects and views together")                                                  \
    X(fds_held, "file descriptors held for contexts and memory")                                                       \
    X(fds_held_max, "most of them at once")                                                                            \
    X(bytes_live, "bytes of device address space in use, all domains")                                                 \
    X(bytes_live_max, "most of them at once")                                                                          \
    X(runs, "jobs that finished without an error")                                                                     \
    X(macs, "multiply-accumulates of those jobs")                                                                      \
    X(bytes_a, "bytes of A read by those jobs")                                                                        \
    X(bytes_b, "bytes of B read by those jobs")                                                                        \
    X(bytes_c, "bytes of C written by those jobs")                                                                     \
    X(domain_switches, "jobs whose domain differed from that of the job before")                                       \
    X(binds, "rknn_matmul_set_io_mem calls that succeeded")                                                            \
    X(bind_conversions, "of those, the ones that converted and kept a copy")                                           \
    X(syncs_to_device, "rknn_mem_sync calls towards the device")                                                       \
    X(syncs_from_device, "rknn_mem_sync calls from the device")                                                        \
    X(bytes_to_device, "bytes of those calls")                                                                         \
    X(bytes_from_device, "bytes of those calls")                                                                       \
    X(refusals, "calls refused for their arguments or for want of a resource")                                         \
    X(misuses, "calls that are undefined on hardware: one context in two threads, use after destroy, ...")             \
    X(faults_fired, "faults of RKNN_EMU_FAULTS that happened")                                                         \
    X(panics, "times this process took part in an emulated kernel panic")                                              \
    X(virtual_ns, "virtual time: when the last run or call is over, from the first on (modelled)")                     \
    X(calls_ns, "of that, or beside runs: rknn_matmul_set_io_mem and rknn_mem_sync (modelled)")                        \
    X(switches_ns, "of that: all cores idle while the domain is switched (modelled)")                                  \
    X(dram_bytes, "bytes that crossed the memory bus: weights once per pass, A and C (modelled)")                      \
    X(energy_uj, "microjoules above idle of cores and memory, none of the CPU's (modelled, uncertain)")

struct rknn_emu_stats {
    uint64_t struct_size; /* set by the caller to sizeof; the library fills no more than that */
    uint64_t runs_of_core[RKNN_EMU_CORES];
    uint64_t bytes_of_domain[RKNN_EMU_DOMAINS];     /* device address space in use now */
    uint64_t bytes_of_domain_max[RKNN_EMU_DOMAINS]; /* most of it at once */
#define RKNN_EMU_FIELD(name, meaning) uint64_t name;
    RKNN_EMU_COUNTERS(RKNN_EMU_FIELD)
#undef RKNN_EMU_FIELD
    uint64_t busy_ns_of_core[RKNN_EMU_CORES]; /* virtual time of the jobs, fixed costs included (modelled) */
};

/* 0, or -5 when stats is null or struct_size is smaller than one field. */
int rknn_emu_get_stats(struct rknn_emu_stats * stats);

/* Writes the counters as JSON to the file of RKNN_EMU_STATS now. 0; -1 when the setting is empty or writing fails. */
int rknn_emu_write_stats(void);

/* A line such as "0.1.0 (rk3588, emulated)". Never null. */
const char * rknn_emu_version(void);

#ifdef __cplusplus
}
#endif

#endif
