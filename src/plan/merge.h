// Weights that read one activation, multiplied together: as one weight (q, k and v, or gate and up), or by one list of
// jobs (gate and up of experts).
//
// In the native layout rows of a weight follow each other by whole tiles (layout.h), so weights with equal K segments
// that lie one after the other in memory are one native weight of all their rows. Each run on the NPU costs, and three
// small products are cut worse than a large one; so jobs of few rows, which decode repeats, take them all at once.
// Experts lie each alone, but siblings have equal jobs, which fill the cores better together: of four active experts
// and three cores, two idle in every second round of one stack.
// Invariant: pure, as plan.h; the codes, their order and each output's arithmetic stay what they are for each alone.
#pragma once

#include "plan/plan.h"

#include <vector>

namespace rknpu {

struct merged_plan {
    std::vector<n_slice> slices;       // of the columns of all weights and all their segments; slice i runs on core i
    std::vector<size_t> first_columns; // of each weight; its segments follow each other, N_padded() columns each
    size_t n_columns;                  // of all
};

// Whether two weights can be parts of one merged weight, if they lie side by side. Their codes are whole pages, for a
// weight begins on one.
bool can_merge(const matmul_plan & a, const matmul_plan & b);

// Which weights are to lie side by side: rows of indices, in each of which any two can merge. The order is kept but for
// what is moved up to its row.
std::vector<std::vector<size_t>> mergeable_rows(const std::vector<const matmul_plan *> & weights);

// Whether the jobs of two stacks that read one activation and one routing are equal, and so make one list.
bool are_siblings(const matmul_plan & a, const matmul_plan & b);

// The same rows of those that are multiplied together: any two in one can merge, or are siblings.
std::vector<std::vector<size_t>> rows_multiplied_together(const std::vector<const matmul_plan *> & weights);

// weights: at least one; any two of them can merge. n_cores: as in plan_settings.
merged_plan plan_merged(const std::vector<const matmul_plan *> & weights, int n_cores);

// Whether one job of M rows (all digits counted) takes all weights; `first` is the plan of any of them.
bool takes_merged(const merged_plan & merged, const matmul_plan & first, size_t M);

// Modelled time of M rows with weights that read one activation, together where they can be; microseconds.
double plan_us(const std::vector<const matmul_plan *> & weights, size_t M, size_t n_used, int n_cores);

// Modelled jobs of M rows that take all weights; none where takes_merged says no.
std::vector<planned_jobs> plan_merged_jobs(const merged_plan & merged, const matmul_plan & first, size_t M);

} // namespace rknpu
