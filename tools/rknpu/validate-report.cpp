// What `rknpu predict --validate` prints; see validate.h.
#include "files.h"
#include "validate.h"

#include <cmath>
#include <cstdio>

namespace rknpu {

namespace {

double ratio_of(const timing_model & model, const published_run & row) {
    return predict_us(model, row) / row.measured_us;
}

std::string shape_of(const published_run & row) {
    std::string text = std::string(element_name(row.run.type)) + " " + std::to_string(row.run.M) + "x" +
                       std::to_string(row.run.K) + "x" + std::to_string(row.run.N);
    if (row.run.layout == io_layout::normal) text += " normal";
    if (row.n_cores > 1) text += (row.node ? " over " : " beside ") + std::to_string(row.n_cores);
    return text;
}

json json_of(const error_summary & e) {
    return {{"rows", e.n}, {"median", e.median}, {"percentile_90", e.percentile_90}, {"worst", e.worst}};
}

json json_of(const timing_model & model, const published_run & row) {
    json j = {{"group", group_name(row.group)},
              {"source", row.source},
              {"type", element_name(row.run.type)},
              {"layout", row.run.layout == io_layout::native ? "native" : "normal"},
              {"M", row.run.M},
              {"K", row.run.K},
              {"N", row.run.N},
              {"cores", row.n_cores},
              {"node", row.node},
              {"half", row.judged ? "judged" : "fitted"},
              {"measured_us", row.measured_us},
              {"modelled_us", predict_us(model, row)},
              {"ratio", ratio_of(model, row)}};
    if (std::abs(ratio_of(model, row) - 1) > miss_bound) {
        const char * why = explain_miss(row);
        j["miss"] = why ? json(why) : json(nullptr);
    }
    return j;
}

json json_of(const fitted_constant & c) {
    return {{"name", c.name},
            {"unit", c.unit},
            {"used", c.used},
            {"fitted", std::isnan(c.fitted) ? json(nullptr) : json(c.fitted)},
            {"stated", c.stated > 0 ? json(c.stated) : json(nullptr)},
            {"remark", c.remark}};
}

json report(const timing_model & model) {
    json all = {{"modelled", true},
                {"bounds", {{"median", median_bound}, {"percentile_90", percentile_90_bound}}},
                {"judged", json_of(summarize_errors(model, rows_of(true)))},
                {"fitted", json_of(summarize_errors(model, rows_of(false)))}};
    for (int i = 0; i < n_run_groups; i++) {
        const run_group group = run_group(i);
        all["groups"].push_back({{"name", group_name(group)},
                                 {"judged", json_of(summarize_errors(model, rows_of(true, group)))},
                                 {"fitted", json_of(summarize_errors(model, rows_of(false, group)))}});
    }
    for (const fitted_constant & c : fit_constants())
        all["constants"].push_back(json_of(c));
    for (const published_run & row : published_runs())
        all["rows"].push_back(json_of(model, row));
    return all;
}

void print_errors(const char * name, const error_summary & judged, const error_summary & fitted) {
    const auto percent = [](double value) { return 100 * value; };
    std::printf("%-24s %5zu %6.1f %6.1f %6.1f  %5zu %6.1f %6.1f %6.1f\n", name, judged.n, percent(judged.median),
                percent(judged.percentile_90), percent(judged.worst), fitted.n, percent(fitted.median),
                percent(fitted.percentile_90), percent(fitted.worst));
}

void print_groups(const timing_model & model) {
    std::printf("The timing model (modelled) against %zu runs that others measured: |predicted / measured - 1|, %%\n\n",
                published_runs().size());
    std::printf("%-24s %5s %6s %6s %6s  %5s %6s %6s %6s\n", "group", "judge", "median", "90 %", "worst", "fit",
                "median", "90 %", "worst");
    for (int i = 0; i < n_run_groups; i++) {
        const run_group group = run_group(i);
        print_errors(group_name(group), summarize_errors(model, rows_of(true, group)),
                     summarize_errors(model, rows_of(false, group)));
    }
    print_errors("all", summarize_errors(model, rows_of(true)), summarize_errors(model, rows_of(false)));
}

void print_constants() {
    std::printf("\n%-26s %9s %9s %9s\n", "constant", "used", "fitted", "stated");
    for (const fitted_constant & c : fit_constants()) {
        std::printf("%-26s %9.4g ", c.name, c.used);
        std::isnan(c.fitted) ? std::printf("%9s ", "-") : std::printf("%9.4g ", c.fitted);
        c.stated > 0 ? std::printf("%9.4g", c.stated) : std::printf("%9s", "-");
        std::printf(" %s%s%s\n", c.unit, *c.remark ? "  " : "", c.remark);
    }
}

void print_misses(const timing_model & model) {
    std::printf("\nmisses by more than %.0f %%\n", 100 * miss_bound);
    const char * last = nullptr;
    for (const published_run & row : published_runs()) {
        if (std::abs(ratio_of(model, row) - 1) <= miss_bound) continue;
        const char * why = explain_miss(row);
        if (why != last) std::printf("  %s\n", why ? why : "nobody knows why");
        last = why;
        std::printf("    %-10s %-24s measured %8.0f us, predicted %8.0f us, %.2f%s\n", row.source,
                    shape_of(row).c_str(), row.measured_us, predict_us(model, row), ratio_of(model, row),
                    row.judged ? "" : " (fitted half)");
    }
}

} // namespace

const char * explain_miss(const published_run & row) {
    switch (row.group) {
    case run_group::unpinned:
        return row.run.type == element::i4 ? "int4 on the unpinned board has two states that shapes do not tell: some "
                                             "rows overlap as on a pinned "
                                             "board, others take the sum of streaming, multiplication and output"
                                           : "the unpinned board has two states of its memory, a factor of two apart, "
                                             "and shapes do not tell them: "
                                             "int8 and f16 128x512x4096 write the same bytes in 1331 and 675 us";
    case run_group::cold:
        return row.run.type == element::f16 && row.run.M >= 32
                   ? "the memory's clock rose during the longest cold runs; the source doubts its f16 row of M = 128"
                   : nullptr;
    case run_group::best:
        return row.run.type == element::i4
                   ? "sources contradict: the best of 30 runs of an unpinned board takes 1.4 times "
                     "as long as the same shape on a pinned one (593 and 1110 us)"
                   : nullptr;
    default:
        return nullptr;
    }
}

status print_validation(bool as_json) {
    const timing_model model = published_model();
    if (as_json) {
        std::printf("%s\n", text_of(report(model), 2).c_str());
    } else {
        print_groups(model);
        print_constants();
        print_misses(model);
    }
    const error_summary judged = summarize_errors(model, rows_of(true));
    if (judged.median <= median_bound && judged.percentile_90 <= percentile_90_bound) return {};
    return status(errc::incompatible,
                  "the timing model misses its bounds on the held-out half: no prediction of it holds");
}

} // namespace rknpu
