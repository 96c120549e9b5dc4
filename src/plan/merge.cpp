// See merge.h.
#include "plan/merge.h"

#include "base/check.h"

#include <algorithm>

namespace rknpu {

namespace {

// The rows that ride on one pass over the weight (plan.cpp, job sizes). Where there are more, the fixed cost of a run
// is small beside the run, and shapes of their own would only cost contexts.
constexpr size_t merged_rows_max = 16;

using relation = bool (*)(const matmul_plan &, const matmul_plan &);

std::vector<std::vector<size_t>> rows_of(const std::vector<const matmul_plan *> & weights, relation are_related) {
    std::vector<std::vector<size_t>> rows;
    for (size_t i = 0; i < weights.size(); i++) {
        const auto row = std::find_if(rows.begin(), rows.end(), [&](const std::vector<size_t> & r) {
            return are_related(*weights[r.front()], *weights[i]);
        });
        if (row == rows.end())
            rows.push_back({i});
        else
            row->push_back(i);
    }
    return rows;
}

} // namespace

bool can_merge(const matmul_plan & a, const matmul_plan & b) {
    return a.n_matrices == 1 && b.n_matrices == 1 && a.group == b.group && cut_alike(a, b) &&
           (a.segments.size() == 1 || !a.joint_slices.empty()) && a.matrix_bytes() % block_align == 0 &&
           b.matrix_bytes() % block_align == 0;
}

bool are_siblings(const matmul_plan & a, const matmul_plan & b) {
    return a.n_matrices > 1 && a.n_matrices == b.n_matrices && a.group == b.group && a.N == b.N && cut_alike(a, b);
}

std::vector<std::vector<size_t>> mergeable_rows(const std::vector<const matmul_plan *> & weights) {
    return rows_of(weights, can_merge);
}

std::vector<std::vector<size_t>> rows_multiplied_together(const std::vector<const matmul_plan *> & weights) {
    return rows_of(weights,
                   [](const matmul_plan & a, const matmul_plan & b) { return can_merge(a, b) || are_siblings(a, b); });
}

merged_plan plan_merged(const std::vector<const matmul_plan *> & weights, int n_cores) {
    RKNPU_CHECK(!weights.empty(), "nothing to merge");
    merged_plan merged;
    merged.n_columns = 0;
    for (const matmul_plan * w : weights) {
        merged.first_columns.push_back(merged.n_columns);
        merged.n_columns += w->segments.size() * w->N_padded();
    }
    const matmul_plan & first = *weights.front();
    merged.slices = slice_columns(*first.soc, first.type(), first.segments.front().K_padded, merged.n_columns, n_cores);
    return merged;
}

bool takes_merged(const merged_plan & merged, const matmul_plan & first, size_t M) {
    const size_t n_segments = first.segments.size();
    if (n_segments == 1 ? M > merged_rows_max : !joins_segments(first, M)) return false;
    return std::all_of(merged.slices.begin(), merged.slices.end(), [&](const n_slice & slice) {
        return output_fits(first.type(), M * n_segments, slice.N_padded);
    });
}

std::vector<planned_jobs> plan_merged_jobs(const merged_plan & merged, const matmul_plan & first, size_t M) {
    std::vector<row_chunk> chunks;
    plan_rows(first, M, chunks);
    if (chunks.size() != 1 || !takes_merged(merged, first, chunks.front().M)) return {};
    const npu_run run{first.type(), chunks.front().M * first.segments.size(), first.segments.front().K_padded,
                      merged.n_columns};
    const int n_cores = int(merged.slices.size());
    return {{run, n_cores, 1, node_cost(*first.soc, run, n_cores)}};
}

double plan_us(const std::vector<const matmul_plan *> & weights, size_t M, size_t n_used, int n_cores) {
    double sum = 0;
    for (const std::vector<size_t> & row : rows_multiplied_together(weights)) {
        std::vector<const matmul_plan *> parts;
        for (const size_t i : row)
            parts.push_back(weights[i]);
        std::vector<planned_jobs> jobs;
        if (parts.front()->n_matrices > 1)
            jobs = plan_jobs(*parts.front(), M, n_used, parts.size());
        else if (parts.size() > 1)
            jobs = plan_merged_jobs(plan_merged(parts, n_cores), *parts.front(), M);
        sum += sum_us(jobs);
        for (size_t i = 0; jobs.empty() && i < parts.size(); i++)
            sum += plan_us(*parts[i], M, n_used);
    }
    return sum;
}

} // namespace rknpu
