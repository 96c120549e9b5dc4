// The planner: from a weight's name, shape and type to the pieces that the NPU multiplies, or a refusal in words.
//
// Invariant: pure functions of their arguments. Asking twice, in any order, gives the same plan; nothing here opens a
// device, allocates NPU memory or reads the environment.
#pragma once

#include "plan/chip.h"
#include "plan/cost.h"
#include "plan/format.h"
#include "plan/policy.h"

#include <cstdint>
#include <string>
#include <vector>

namespace rknpu {

// What the planner may know of a weight [N, K], or of a stack of them: the experts of a layer.
struct weight_facts {
    std::string name;        // as in the GGUF file
    int64_t K, N;            // columns (summed dimension) and rows (output features)
    int64_t n_matrices = 1;  // more than one: a stack
    double source_bits = 16; // per weight in the GGUF file, its scales included: 4.5 for Q4_0
};

// What the user may wish.
struct plan_settings {
    policy formats;
    bool rotate = true;  // block Hadamard for the integer formats
    bool balance = true; // factors of the columns for the integer formats
    bool int4 = true;    // false: the NPU's int4 products are not to be trusted, 8 bits are used instead
    int n_cores = 0;     // 0: all
};

// K segments of one weight, at most: 64 x 8192 columns.
constexpr size_t segments_max = 64;

// A cut of K: columns [k_begin, k_begin + K) of the weight; K_padded is what the NPU sees.
struct k_segment {
    size_t k_begin, K, K_padded;
};

// A cut of N for one core: rows [n_begin, n_begin + N) of the weight; N_padded is what the NPU sees.
struct n_slice {
    size_t n_begin, N, N_padded;
};

struct matmul_plan {
    const chip * soc;
    format numeric_format;
    std::string reason; // of the format, in words
    size_t K, N;
    std::vector<k_segment> segments; // in order, covering [0, K)
    std::vector<n_slice> slices;     // in order, covering [0, N); slice i runs on core i
    size_t rotation_block;           // power of two dividing K; 0: no rotation
    uint64_t rotation_seed;          // equal seeds (and K): weights that can share one quantized activation
    bool balance;                    // columns get factors, the same for all weights of the group
    std::string group;               // activation_group() of the weight
    // Cuts of the columns of all segments, N_padded() of each, one segment after the other, for jobs that take all
    // segments at once (joins_segments); slice i runs on core i. Empty: segments differ in length.
    std::vector<n_slice> joint_slices;
    size_t n_matrices = 1; // of a stack: all are cut and quantized alike, each runs whole on any one core
    int n_cores = 1;       // that whole matrices are spread over

    const format_traits & traits() const { return traits_of(numeric_format); }
    element type() const { return traits().type; }
    size_t N_padded() const;
    size_t segment_bytes(size_t segment) const; // packed weight bytes of one segment of one matrix
    size_t matrix_bytes() const;                // of all segments
    size_t weight_bytes() const;                // of all matrices
    size_t n_segments_max() const;              // however the weight's codes turn out (see with_shorter_segments)
};

// Plans a weight. status: errc::unsupported, with the reason as a message.
result<matmul_plan> plan_weight(const weight_facts & facts, const chip & soc, const plan_settings & wishes);

// Weights that the model multiplies with the same activation get the same group: the name with q/k/v and gate/up made
// one.
std::string activation_group(const std::string & tensor_name);

// The plan with one more K segment than it has: for a weight whose codes could overflow the accumulator. At
// n_segments_max() segments none can. The bytes of the weight stay the same.
matmul_plan with_shorter_segments(matmul_plan plan);

// Whether jobs of M rows take all K segments at once: [M * segments, K of one] x [N * segments, K of one]^T, of whose
// output the blocks on the diagonal are used. Rows that ride on the same pass over the weight are free and each run
// costs, so jobs of few rows do. Weights that share an activation may get different answers (their N differ).
bool joins_segments(const matmul_plan & plan, size_t M);

// A run of rows of the activation: rows [m_begin, m_begin + rows), in a job of M >= rows * digits rows.
struct row_chunk {
    size_t m_begin, rows, M;
};

// Whether two weights are cut and transformed alike along K, so that one quantized activation serves both; balance
// factors, which come with the values, are left to the caller.
bool cut_alike(const matmul_plan & a, const matmul_plan & b);

// Cuts of N columns for the cores, whole weight tiles: for one core or for n_cores of them (0: all), as the timing
// model finds one row of K faster.
std::vector<n_slice> slice_columns(const chip & soc, element type, size_t K, size_t N, int n_cores);

// Whether the output of a job of M rows (all digits counted) and N columns is small enough for the staging memory.
bool output_fits(element type, size_t M, size_t N);

// Cuts M activation rows into jobs whose M comes from a short list of sizes, so that few contexts serve every batch;
// picks the cheapest cut by the timing model. Appends to out, which is cleared first and never shrinks its capacity.
void plan_rows(const matmul_plan & plan, size_t M, std::vector<row_chunk> & out);

// Equal jobs: n_rounds one after the other, in each of which n_cores work at once.
struct planned_jobs {
    npu_run run; // of a weight: all slices together, one on each core; of a stack: one matrix on one core
    int n_cores;
    size_t n_rounds;
    run_cost cost; // of one round; dram_bytes of all its cores
};

// Modelled time of jobs one after the other, in microseconds.
double sum_us(const std::vector<planned_jobs> & jobs);

// What multiplies M activation rows on the NPU: all jobs of all segments, nothing of the CPU's. n_used: how many
// matrices of a stack multiply each row; the choice is taken to be even. n_siblings: stacks whose jobs are one list
// (merge.h); those of all are given.
std::vector<planned_jobs> plan_jobs(const matmul_plan & plan, size_t M, size_t n_used = 1, size_t n_siblings = 1);

// Modelled time of plan_jobs, in microseconds (cost.h).
double plan_us(const matmul_plan & plan, size_t M, size_t n_used = 1);

// Modelled time of the jobs of M rows with one matrix of a stack on one core, while n_active cores run such jobs.
double matrix_us(const matmul_plan & plan, size_t M, int n_active);

// The smallest size of jobs (rows, all digits counted) above M that plan_rows chooses from; 0: none.
size_t next_row_size(const matmul_plan & plan, size_t M);

// The largest M (rows of a job, all digits counted) of a job of this plan: the output staging stays small.
size_t row_size_max(const matmul_plan & plan);

} // namespace rknpu
