// See validate.h.
#include "validate.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace rknpu {

namespace {

std::vector<published_run> read_rows() {
    constexpr element f16 = element::f16, i8 = element::i8, i4 = element::i4;
    constexpr io_layout native = io_layout::native, normal = io_layout::normal;
    std::vector<published_run> rows = {
#define RKNPU_RUN(group, source, type, layout, M, K, N, n, us)                                                         \
    {run_group::group, source, {type, M, K, N, layout}, n, false, us, false},
#define RKNPU_NODE(group, source, type, layout, M, K, N, n, us)                                                        \
    {run_group::group, source, {type, M, K, N, layout}, n, true, us, false},
#include "published-runs.inc"
#undef RKNPU_RUN
#undef RKNPU_NODE
    };
    int seen[n_run_groups] = {};
    for (published_run & row : rows)
        row.judged = seen[int(row.group)]++ % 2 == 1;
    return rows;
}

} // namespace

const char * group_name(run_group group) {
    constexpr const char * names[n_run_groups] = {"pinned, one core",      "normal A and C", "nodes of three cores",
                                                  "a thread per dispatch", "best cases",     "unpinned, medians",
                                                  "cold single runs"};
    return names[int(group)];
}

// Fitted to the even rows (fit_constants), rounded.
timing_model published_model() {
    timing_model model{*find_chip("rk3588").value(), {}};
    conditions & threads = model.where[int(run_group::threads)];
    threads.extra_us = 56; // creation and end of three threads
    threads.normal_hot_ns = 5.4;
    conditions & unpinned = model.where[int(run_group::unpinned)];
    unpinned.output = 0.68;
    unpinned.serial = 0.46;
    unpinned.serial_max_us = 250;
    conditions & cold = model.where[int(run_group::cold)];
    cold.stream = 0.73;
    cold.extra_us = 66;
    cold.serial = 0.33;
    cold.serial_max_us = 1000;
    cold.normal_ns = 7.8;
    cold.normal_hot_ns = 6.2;
    return model;
}

const std::vector<published_run> & published_runs() {
    static const std::vector<published_run> rows = read_rows();
    return rows;
}

double predict_us(const timing_model & model, const published_run & row) {
    const conditions & where = model.where[int(row.group)];
    return row.node ? node_cost(model.soc, row.run, row.n_cores, where).us
                    : cost_of(model.soc, row.run, row.n_cores, where).us;
}

error_summary summarize_errors(const timing_model & model, const std::vector<const published_run *> & rows) {
    error_summary sum;
    std::vector<double> errors;
    for (const published_run * row : rows)
        errors.push_back(std::abs(predict_us(model, *row) / row->measured_us - 1));
    if (errors.empty()) return sum;
    std::sort(errors.begin(), errors.end());
    const size_t n = errors.size();
    sum.n = n;
    sum.median = n % 2 == 1 ? errors[n / 2] : (errors[n / 2 - 1] + errors[n / 2]) / 2;
    sum.percentile_90 = errors[(9 * n + 9) / 10 - 1]; // the smallest that 90 % of the rows do not exceed
    sum.worst = errors.back();
    return sum;
}

std::vector<const published_run *> rows_of(bool judged) {
    std::vector<const published_run *> rows;
    for (const published_run & row : published_runs())
        if (row.judged == judged) rows.push_back(&row);
    return rows;
}

std::vector<const published_run *> rows_of(bool judged, run_group group) {
    std::vector<const published_run *> rows = rows_of(judged);
    rows.erase(std::remove_if(rows.begin(), rows.end(), [&](const auto * row) { return row->group != group; }),
               rows.end());
    return rows;
}

} // namespace rknpu
