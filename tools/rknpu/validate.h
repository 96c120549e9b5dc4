// The timing model judged by what others measured: predicted / measured of each published run (published-runs.inc).
//
// Invariant: a row's half is its place in its group (even: fitted to, odd: judged by), fixed before any fit; constants
// are fitted on the one half only, and the report names every row of the other that misses by more than 30 %.
#pragma once

#include "base/status.h"
#include "plan/cost.h"

#include <string>
#include <vector>

namespace rknpu {

// Rows of one kind of board and work.
enum class run_group { pinned, normal, nodes, threads, best, unpinned, cold };
constexpr int n_run_groups = 7;
const char * group_name(run_group group);

struct published_run {
    run_group group;
    const char * source; // a key of published-runs.inc
    npu_run run;
    int n_cores;
    bool node; // one matmul over n_cores; otherwise one of n_cores runs at once
    double measured_us;
    bool judged; // of the held-out half
};
const std::vector<published_run> & published_runs();

// The chip and the conditions of each group: all that a prediction takes.
struct timing_model {
    chip soc;
    conditions where[n_run_groups];
};
// The table's constants, and the conditions that were fitted to the fitting half.
timing_model published_model();

double predict_us(const timing_model & model, const published_run & row);

// Of |predicted / measured - 1|.
struct error_summary {
    size_t n = 0;
    double median = 0;
    double percentile_90 = 0;
    double worst = 0;
};
error_summary summarize_errors(const timing_model & model, const std::vector<const published_run *> & rows);
std::vector<const published_run *> rows_of(bool judged);
std::vector<const published_run *> rows_of(bool judged, run_group group);

// One constant: what the model uses, what the fitting half alone asks for, what the source says (0: nothing).
struct fitted_constant {
    const char * name;
    const char * unit;
    double used;
    double fitted; // NaN: the rows do not fix it
    double stated;
    const char * remark;
};
// Fits every constant anew: the mean of |log(predicted / measured)| over the fitting half is smallest.
std::vector<fitted_constant> fit_constants();

// A miss is a row whose prediction is off by more than this.
constexpr double miss_bound = 0.30;
// Why a row is a miss, as far as anybody knows; null: nobody does.
const char * explain_miss(const published_run & row);

// What the held-out half must keep.
constexpr double median_bound = 0.12, percentile_90_bound = 0.30;

// Errors by group, constants and misses, to stdout: text, or JSON. Fails when the held-out half breaks a bound.
status print_validation(bool as_json);

} // namespace rknpu
