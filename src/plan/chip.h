// The chip table: everything we know about a Rockchip NPU as numbers, each with its source (see chip.cpp).
//
// Invariant: the planner, the layouts, the memory room and the emulator take hardware numbers from this table. Where an
// inner loop needs one at compile time (the 16-byte cells, the tiles of the products in kernels/) it is named there,
// and the tests compare it with the table's layouts.
#pragma once

#include "base/status.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace rknpu {

// The element types of one NPU multiplication: activation and weight have the same type, the accumulator is fixed by
// it.
enum class element { f16, i8, i4 };
constexpr int n_elements = 3;

constexpr int element_bits(element type) {
    return type == element::f16 ? 16 : type == element::i8 ? 8 : 4;
}
constexpr size_t element_bytes(element type, size_t count) {
    return count * size_t(element_bits(type)) / 8;
}
// Weights begin on a page of NPU memory: whether the kernel driver imports windows that begin elsewhere is not known.
constexpr size_t block_align = 4096;
// Bytes of one accumulator: f16 -> f32, i8 -> i32, i4 -> i16.
constexpr int accumulator_bytes(element type) {
    return type == element::i4 ? 2 : 4;
}
const char * element_name(element type);

// Native tile sizes of one element type, in elements.
struct tile_shape {
    int activation_k; // atom of the activation layout: K elements stored together
    int weight_n;     // tile of the weight layout
    int weight_k;
    int output_n; // atom of the output layout: N elements stored together
    int k_align;  // K and N of a job must be multiples of these
    int n_align;
    double macs_per_cycle; // of one core
};

struct chip {
    const char * name; // as in "rockchip,<name>" of the device tree
    int n_cores;
    int k_max;             // largest K of one job; longer K is cut into segments
    int n_domains;         // IOMMU address spaces
    uint64_t domain_bytes; // address space of one domain
    uint64_t allocation_bytes_max;
    tile_shape tiles[n_elements];
    // Timing (modelled, see docs/architecture.md): a run on one core costs run_us plus the longest of weight streaming,
    // multiplication and output writing.
    double clock_ghz;
    double run_us;                 // fixed cost of a run on one core
    double node_us;                // fixed cost of a matmul spread over all cores
    double stream_gb_s;            // weight streaming, one core alone
    double stream_all_gb_s;        // all cores together
    double output_gb_s;            // output writes, one core
    double output_i16_gb_s;        // the same of int4's 2-byte accumulators
    size_t activation_cache_bytes; // on-chip memory that holds the activation: rows per weight pass = this / row bytes
    size_t cbuf_bytes;             // all on-chip memory of a core that holds activations and weights
    size_t rows_min;               // a pass of fewer rows takes the multipliers as long as one of so many
    // A and C in normal layout: the runtime converts C on one CPU thread, inside the run.
    double normal_ns;        // per element of C
    double normal_hot_ns;    // the same while C is at most normal_hot_bytes
    size_t normal_hot_bytes; // C that stays in the CPU's caches
    size_t normal_n_max;     // above so many columns each row is a pass of its own
    // What the host's calls cost beside the run.
    double call_us;          // binding an operand, or a cache sync without its bytes
    double sync_gb_s;        // cache syncs, one thread
    double domain_switch_us; // a run in another domain than the one before, all cores idle meanwhile (uncertain)
    // Power above idle (uncertain, see chip.cpp).
    double npu_core_w;      // one NPU core that runs a job
    double dram_w_per_gb_s; // DRAM traffic
    double cpu_core_w;      // one big core at full load

    const tile_shape & tile(element type) const { return tiles[int(type)]; }
};

// The table row of a chip by its device-tree name ("rk3588", "rk3588s"), or a refusal in words.
result<const chip *> find_chip(const std::string & name);

} // namespace rknpu
