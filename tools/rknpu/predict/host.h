// How long the CPU of an RK3588 board needs for what the NPU does not do: modelled, from counted instructions, modelled
// cycles of our kernels and published measurements. The constants are one table (host.cpp) with their sources.
//
// Invariant: pure; nothing here is taken from the clock of the machine that this runs on. Times are in microseconds.
#pragma once

#include "gguf-model.h"
#include "predict/board.h"

namespace rknpu {

struct host_costs {
    double clock_ghz;
    double threads;
    double read_gb_s;                             // all big cores together
    double q4_read_gb_s;                          // likewise, where unpacking 4 bits keeps it from more
    double copy_gb_s;                             // one core: bytes copied
    double q8_gmac_s, f16_gmac_s, q4_gmac_s;      // products of ggml's CPU backend on all big cores
    double norm_cycles, gelu_cycles, silu_cycles; // of ggml's operators, per element written
    double rope_cycles, add_cycles;
    double state_cycles; // of a recurrent state, per float and token
    double node_us;      // a node of ggml's graph: its barrier
    double token_us;     // llama.cpp around a graph
    double wake_us;      // to hand a product to other threads and get it back
    double job_us;       // our own instructions per job
};
host_costs costs_of(const board & b);

// Rows to codes: magnitude, rotation, rounding into native cells; all rows of one activation.
double quantize_us(const host_costs & host, const matmul_plan & plan, size_t rows);
// Accumulators to floats, of all segments; rows of output, all digits counted by itself.
double dequantize_us(const host_costs & host, const matmul_plan & plan, size_t rows);
// Matmul on ggml's CPU backend; n_used: matrices of a stack that each row is multiplied by.
double cpu_matmul_us(const host_costs & host, const model_tensor & weight, size_t rows, size_t n_used);

// Attention of one layer on ggml's CPU backend: rows tokens, the last of which sees so many cells of the cache. It is
// flash attention, which skips what the mask hides, or plain products with the whole cache.
enum class attention_kind { flash, products };
double attention_us(const host_costs & host, const model_layer & layer, size_t rows, size_t cells, attention_kind kind);
// All other operators of a layer, the steps of a recurrent state included; n_used: active experts.
double operators_us(const host_costs & host, const model_layer & layer, int64_t n_embd, size_t rows, size_t n_used);

} // namespace rknpu
