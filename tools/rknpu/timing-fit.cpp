// The constants of the timing model fitted to one half of the published runs; see validate.h.
#include "validate.h"

#include <algorithm>
#include <cmath>

namespace rknpu {

namespace {

template <run_group group> conditions & where(timing_model & model) {
    return model.where[int(group)];
}

using groups = std::vector<run_group>;

// Constants of the chip are fitted on boards whose clocks were pinned; those of other boards after that, on their rows.
struct parameter {
    const char * name;
    const char * unit;
    groups from;
    double start; // away from the answer on purpose
    double stated;
    const char * remark;
    double & (*in)(timing_model & model);
};

using tm = timing_model;
const groups one_core = {run_group::pinned, run_group::normal}, nodes = {run_group::nodes};
const groups threads = {run_group::threads}, unpinned = {run_group::unpinned}, cold = {run_group::cold};

const parameter parameters[] = {
    {"fixed cost of a run", "us", one_core, 50, 32.9,
     "no pinned row is shorter than 200 us; the source's own fit has runs from 40 us on",
     [](tm & m) -> double & { return m.soc.run_us; }},
    {"fixed cost of a node", "us", nodes, 40, 55.6, "", [](tm & m) -> double & { return m.soc.node_us; }},
    {"weights, one core", "GB/s", one_core, 9, 11.15, "", [](tm & m) -> double & { return m.soc.stream_gb_s; }},
    {"weights, all cores", "GB/s", nodes, 25, 31.6, "", [](tm & m) -> double & { return m.soc.stream_all_gb_s; }},
    {"output, 4 bytes", "GB/s", one_core, 3, 3.9,
     "one row of this half is bound by it (f16 2048 x 512 x 2048); the sources say 'or more'",
     [](tm & m) -> double & { return m.soc.output_gb_s; }},
    {"output, 2 bytes", "GB/s", unpinned, 4, 6, "a lower bound: these rows are as well explained without it",
     [](tm & m) -> double & { return m.soc.output_i16_gb_s; }},
    {"normal C", "ns", one_core, 3, 2.6, "1.8 to 2.6 in the pinned rows, less with the LPDDR5-6400 board's",
     [](tm & m) -> double & { return m.soc.normal_ns; }},
    {"threads: more per node", "us", threads, 20, 0, "",
     [](tm & m) -> double & { return where<run_group::threads>(m).extra_us; }},
    {"threads: normal C", "ns", threads, 3, 0, "with whatever else a dispatch does per row",
     [](tm & m) -> double & { return where<run_group::threads>(m).normal_hot_ns; }},
    {"unpinned: output", "x", unpinned, 0.9, 0, "",
     [](tm & m) -> double & { return where<run_group::unpinned>(m).output; }},
    {"unpinned: not overlapped", "x", unpinned, 0.2, 0, "",
     [](tm & m) -> double & { return where<run_group::unpinned>(m).serial; }},
    {"unpinned: that, at most", "us", unpinned, 500, 0, "",
     [](tm & m) -> double & { return where<run_group::unpinned>(m).serial_max_us; }},
    {"cold: weights", "x", cold, 0.9, 0.71, "", [](tm & m) -> double & { return where<run_group::cold>(m).stream; }},
    {"cold: more per run", "us", cold, 20, 0, "",
     [](tm & m) -> double & { return where<run_group::cold>(m).extra_us; }},
    {"cold: not overlapped", "x", cold, 0.2, 0, "",
     [](tm & m) -> double & { return where<run_group::cold>(m).serial; }},
    {"cold: that, at most", "us", cold, 500, 0, "",
     [](tm & m) -> double & { return where<run_group::cold>(m).serial_max_us; }},
    {"cold: normal C", "ns", cold, 4, 8, "", [](tm & m) -> double & { return where<run_group::cold>(m).normal_ns; }},
    {"cold: normal C in caches", "ns", cold, 4, 8, "pages of C that nobody has touched before",
     [](tm & m) -> double & { return where<run_group::cold>(m).normal_hot_ns; }},
};

double loss(const timing_model & model, const std::vector<const published_run *> & rows) {
    double sum = 0;
    for (const published_run * row : rows)
        sum += std::abs(std::log(predict_us(model, *row) / row->measured_us));
    return sum / double(rows.size());
}

std::vector<const published_run *> fitting_rows(const groups & from) {
    std::vector<const published_run *> rows;
    for (const run_group group : from)
        for (const published_run * row : rows_of(false, group))
            rows.push_back(row);
    return rows;
}

// The best value of one constant among steps around the present one; true if it is another.
bool improve(timing_model & model, const parameter & p, double step, const std::vector<const published_run *> & rows,
             double & best) {
    double & value = p.in(model);
    const double before = value;
    double chosen = value;
    for (int i = -8; i <= 8; i++) {
        value = before * std::pow(1 + step, i);
        const double now = loss(model, rows);
        if (now < best - 1e-9) best = now, chosen = value;
    }
    value = chosen;
    return chosen != before;
}

void fit_to(timing_model & model, const groups & from) {
    const std::vector<const published_run *> rows = fitting_rows(from);
    double best = loss(model, rows);
    for (const double step : {0.2, 0.05, 0.2, 0.05, 0.01, 0.003}) {
        for (bool moved = true; moved;) {
            moved = false;
            for (const parameter & p : parameters)
                if (p.from == from) moved = improve(model, p, step, rows, best) || moved;
        }
    }
}

} // namespace

std::vector<fitted_constant> fit_constants() {
    timing_model model = published_model(), used = published_model();
    for (const parameter & p : parameters)
        p.in(model) = p.start;
    for (const groups & from : {one_core, nodes, threads, unpinned, cold})
        fit_to(model, from);
    std::vector<fitted_constant> constants;
    for (const parameter & p : parameters) {
        const double fitted = p.in(model);
        const bool runs_away = fitted > 10 * p.start || fitted < p.start / 10;
        constants.push_back({p.name, p.unit, p.in(used), runs_away ? NAN : fitted, p.stated, p.remark});
    }
    return constants;
}

} // namespace rknpu
