// What a model would do on a board: whether it fits, tokens per second, and where the time goes. Modelled.
//
// Invariant: pure but for the model, which was read before. A time is the sum of its parts; a part that the NPU's work
// hides is counted as hidden, not twice.
#pragma once

#include "plan/energy.h"
#include "plan/policy.h"
#include "planned-model.h"
#include "predict/board.h"
#include "predict/host.h"
#include "predict/npu.h"

#include <array>

namespace rknpu {

enum class part {
    npu_start,   // fixed cost of runs
    npu_stream,  // jobs that wait for weights from DRAM
    npu_compute, // jobs that multiply or write longer than they stream
    wake,        // handing products to the NPU and waiting threads
    convert,     // quantizing, rotating, dequantizing
    cpu_matmul,  // matmuls that are not on the NPU
    attention,
    operators, // all other operators
    program,   // llama.cpp around the graph
};
constexpr size_t n_parts = 9;
const char * part_name(part p);
const char * part_meaning(part p);

struct time_split {
    std::array<double, n_parts> us{};
    activity done; // for the energy

    double & operator[](part p) { return us[size_t(p)]; }
    double operator[](part p) const { return us[size_t(p)]; }
    double total() const;
    double npu() const; // while the NPU works
    double cpu() const { return total() - npu(); }
    time_split & operator+=(const time_split & other);
};

class forecast {
public:
    // model must outlive this. context: tokens of the KV cache.
    forecast(const gguf_model & model, const board & where, const chip & soc, const policy & formats, size_t context);
    struct cpu_only {}; // nothing on the NPU, as llama.cpp alone
    forecast(const gguf_model & model, const board & where, const chip & soc, cpu_only, size_t context);
    forecast(const forecast &) = delete; // the plans point to soc_

    // One call of llama.cpp's graph: rows tokens, so many cells of the cache used after them, logits of so many rows.
    time_split call(size_t rows, size_t cells, size_t logits) const;
    // A prompt of n tokens in micro-batches of 512, logits of its last token only.
    time_split prompt(size_t n) const;
    // One token behind so many.
    time_split decode(size_t depth) const { return call(1, depth + 1, 1); }

    const std::vector<planned_tensor> & planned() const { return planned_; }
    const model_bytes & bytes() const { return bytes_; }
    uint64_t kv_bytes() const;
    uint64_t work_bytes() const;               // compute buffers, staging, contexts
    uint64_t ram_bytes() const;                // all of it, without the operating system
    uint64_t ram_limit() const;                // of the board, less what the operating system keeps
    double joules(const time_split & t) const; // above idle
    bool fits() const { return ram_bytes() <= ram_limit() && n_refused_ == 0; }
    size_t n_refused() const { return n_refused_; } // tensors that found no NPU memory
    int64_t n_embd() const { return n_embd_; }

private:
    void look_up_sizes();
    void add_product(const planned_tensor & p, size_t rows, bool fill, time_split & sum) const;

    const gguf_model & model_;
    const board & board_;
    chip soc_; // with the board's memory
    host_costs host_;
    size_t context_;
    std::vector<planned_tensor> planned_;
    model_bytes bytes_;
    int64_t n_embd_ = 0, n_vocab_ = 0;
    size_t n_refused_ = 0;
};

constexpr size_t micro_batch = 512; // llama.cpp's default

} // namespace rknpu
