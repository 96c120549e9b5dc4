// See peers.h. Constants: [U] unimatrix099/rk-llama.cpp RKNPU2-neon-prep-plan.md and decode research, [P]
// pty819/rk-llama.cpp fa-thread-pool.md, [C] the code of invisiofficial/rk-llama.cpp as described in its forks' docs.
#include "predict/peers.h"

#include "base/check.h"
#include "layout/layout.h"
#include "shape-model.h"

#include <algorithm>

namespace rknpu {

namespace {

// Scalar loops of one A76, nanoseconds per element [U]: 1.8, 3.5, 14.3, 1.6 and 2.3 us per row of 2048.
constexpr double amax_ns = 0.88, round_ns = 1.7, hadamard_ns = 7.0, signs_ns = 0.8, collect_ns = 1.12;
// Threads created and joined around each parallel region [P], where [U] saw the team respawn: 335 us.
constexpr double respawn_us = 335;

size_t next_power_of_two(size_t n) {
    size_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

class peer_model {
public:
    explicit peer_model(const peer_row & row)
        : row_(row), board_(*find_board(row.board_name).value()), soc_(*find_chip(board_.chip_name).value()),
          host_(costs_of(board_)) {
        soc_.stream_all_gb_s *= memory_factor(board_);
        const named_shape shape = parse_named_shape(row.shape).value();
        model_ = model_of(*shape.shape, shape.source);
        for (const model_tensor & t : model_.tensors)
            if (role_of(t.facts.name).name == "output") n_embd_ = t.facts.K;
    }

    // Attention is plain products there: the backend is known to be offered them (its issue 24).
    double call_us(size_t rows, size_t cells, size_t logits) const {
        double sum = host_.token_us;
        for (const model_tensor & t : model_.tensors) {
            const size_t n = role_of(t.facts.name).name == "output" ? logits : rows;
            if (!t.is_multiplied || n == 0) continue;
            sum += is_claimed(t) ? matmul_us(t, n) : cpu_matmul_us(host_, t, n, model_.n_experts_used);
        }
        for (const model_layer & layer : model_.layers)
            sum += attention_us(host_, layer, rows, cells, attention_kind::products) +
                   operators_us(host_, layer, n_embd_, rows, model_.n_experts_used);
        return sum;
    }

private:
    // Quantized or f16 matrices [C]; stacks of experts stay on the CPU.
    bool is_claimed(const model_tensor & t) const {
        const tile_shape & tile = soc_.tile(format_element(row_.numeric_format));
        return t.facts.n_matrices == 1 && t.source != "f32" && t.facts.K % tile.k_align == 0 &&
               t.facts.N % tile.n_align == 0;
    }

    size_t job_rows(size_t rows) const {
        if (rows == 1) return 1;
        return row_.way.rows_by_128 ? round_up(rows, 128) : next_power_of_two(rows);
    }

    double matmul_us(const model_tensor & t, size_t rows) const {
        const element type = format_element(row_.numeric_format);
        const size_t K = row_.way.hadamard ? next_power_of_two(size_t(t.facts.K)) : size_t(t.facts.K);
        const size_t N = size_t(t.facts.N), longest = size_t(soc_.k_max);
        const double m = double(rows), threads = rows == 1 ? 1 : host_.threads;
        double us = row_.way.team_made_anew ? respawn_us : host_.wake_us;
        us += copy_us(m * double(t.facts.K) * 4) + copy_us(m * double(N) * 4); // into the backend's buffer and out
        for (size_t k = 0; k < K; k += longest) {
            const npu_run run{type, job_rows(rows), std::min(longest, K - k), N, row_.way.layout};
            us += work_of(soc_, run, row_.way.n_cores).total_us();
            us += 2 * row_.way.n_cores * soc_.call_us; // A and C are bound each time [C]
            us += prepare_ns(m, double(run.K), double(K)) / threads * 1e-3;
            us += collect_us(m * double(N), accumulator_bytes(type), threads);
        }
        return us;
    }

    double prepare_ns(double m, double k, double k_all) const {
        const double rounding = row_.numeric_format == format::w16a16 ? round_ns : amax_ns + round_ns;
        return m * (k * rounding + (row_.way.hadamard ? k_all * (hadamard_ns + signs_ns) : 0));
    }
    // The output is cleared, then C is added to it [C].
    double collect_us(double elements, int c_bytes, double threads) const {
        const double compute = elements * collect_ns / threads * 1e-3;
        const double bytes = elements * (c_bytes + 12);
        return bytes < double(soc_.normal_hot_bytes) ? compute : std::max(compute, bytes / host_.read_gb_s * 1e-3);
    }
    double copy_us(double bytes) const { return bytes / host_.copy_gb_s * 1e-3; }

    const peer_row & row_;
    const board & board_;
    chip soc_;
    host_costs host_;
    gguf_model model_;
    int64_t n_embd_ = 0;
};

} // namespace

double predict_peer(const peer_row & row) {
    const peer_model model(row);
    if (row.prompt == 0) {
        const double us = model.call_us(1, row.generated / 2 + 1, 1);
        return 1e6 / us;
    }
    double us = 0;
    for (size_t done = 0; done < row.prompt;) {
        const size_t rows = std::min(micro_batch, row.prompt - done);
        done += rows;
        us += model.call_us(rows, done, done == row.prompt ? 1 : 0);
    }
    return double(row.prompt) * 1e6 / us;
}

std::vector<peer_result> predict_peers() {
    std::vector<peer_result> all;
    for (const peer_row & row : peer_rows())
        all.push_back({&row, predict_peer(row)});
    return all;
}

} // namespace rknpu
