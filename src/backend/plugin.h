// The parts of the ggml face and what they share. One plugin, one device, two buffer types.
//
// Invariant: this folder is the only place that knows ggml's structs.
#pragma once

#include "matmul/engine.h"
#include "matmul/merged-weight.h"
#include "matmul/packed-weight.h"
#include "memory/file-pages.h"
#include "store/weight-store.h"

#include "ggml-backend-impl.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace rknpu {

constexpr const char * backend_name = "RKNPU";
constexpr const char * device_name = "RKNPU0";

struct weight_group;

// A tensor of a packed buffer; hangs at tensor->extra and lives as long as its buffer.
struct packed_tensor {
    std::unique_ptr<packed_weight> weight;       // nullptr: plain bytes below
    weight_group * group = nullptr;              // of the weight, owned by its buffer
    std::shared_ptr<const merged_weight> merged; // what it is a part of, if anything
    const ggml_tensor * waiting = nullptr;       // the tensor, while incoming is whole and the rest of the group is not
    std::vector<uint8_t> plain;                  // the source's own bytes, for a tensor that is not on the NPU
    std::vector<uint8_t> incoming;               // a source that arrives in pieces, until it is whole
    std::map<size_t, size_t> covered;            // its bytes so far: begin -> end, apart from each other
    kept_pages kept;                             // instead of incoming, where the source lies in a mapped file
    hash128 source;      // of the bytes that were converted, where there is a store to look into
    bool loaded = false; // the NPU weight is complete

    bool on_npu() const { return weight && loaded; }
    const uint8_t * arrived() const { return kept.data() ? kept.data() : incoming.data(); }
    void forget_source() {
        incoming = std::vector<uint8_t>(); // "= {}" would keep its memory
        kept = {};
    }
};

// What was decided for each weight, for the summary.
struct placement {
    const void * owner;                 // the tensor's extra, or the tensor itself where it has none
    std::string tensor, format, reason; // reason: empty where the weight is on the NPU
    size_t bytes;
};

// Everything the function tables need; made once by ggml_backend_init and never destroyed (ggml never unloads plugins).
struct plugin {
    ggml_backend_reg reg{};
    ggml_backend_device device{};
    ggml_backend_buffer_type plain_type{};  // host memory: KV cache, activations, norms, weights the NPU does not take
    ggml_backend_buffer_type packed_type{}; // NPU memory: weights in native layout
    std::unique_ptr<engine> npu;            // nullptr where no NPU can be used
    std::string why_none;

    std::mutex placements_mutex;
    std::vector<placement> placements; // one per owner
    void note(const placement & p);    // the latest word on a tensor counts
    void forget(const void * owner);

    // Counts what makes mirrors stale although their graph is the same: a weight that moved to the CPU or went away.
    std::atomic<uint64_t> weights_generation{1};
};
plugin & the_plugin();

// device.cpp, buffer-type.cpp: fill the tables.
void make_device_table(plugin & p);
void make_buffer_types(plugin & p);

// stream.cpp
ggml_backend_t new_stream();
void set_n_threads(ggml_backend_t stream, int n_threads);
void set_abort_callback(ggml_backend_t stream, ggml_abort_callback callback, void * data);

// packed-buffer.cpp: a buffer of the packed type; nullptr if address space ran out.
ggml_backend_buffer_t new_packed_buffer(size_t size);

// The weight stays with its bytes (zeros for now) and is multiplied by the CPU.
void keep_on_cpu(packed_tensor & t, const ggml_tensor * tensor, const std::string & reason);
// Converts what has arrived of a weight's group: its user cannot wait for the rest.
void finish_loading(const packed_tensor & t);

// The CPU device that computes everything but our matmuls.
ggml_backend_dev_t cpu_device();

inline bool is_matmul(const ggml_tensor * op) {
    return op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID;
}

// Whether t lies in one of our packed buffers; views count as their source.
bool is_packed(const ggml_tensor * t);

// The plan of a weight tensor, or why it stays on the CPU. Looks at name, shape and type only.
result<matmul_plan> plan_tensor(const ggml_tensor * weight);

// Writes the summary of what happened so far to the file that the settings name, if any.
void write_summary();

} // namespace rknpu
