// The timing model against published runs: the bounds it must keep on rows it was not fitted to.
#include "files.h"
#include "validate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>

namespace rknpu {
namespace {

TEST(validation, rows_are_many_and_the_halves_alternate) {
    EXPECT_GE(published_runs().size(), 60u);
    EXPECT_GE(rows_of(true).size(), 60u); // of the judged half alone
    for (int i = 0; i < n_run_groups; i++) {
        const size_t judged = rows_of(true, run_group(i)).size(), fitted = rows_of(false, run_group(i)).size();
        EXPECT_GT(judged, 3u) << group_name(run_group(i));
        EXPECT_TRUE(fitted == judged || fitted == judged + 1) << group_name(run_group(i));
    }
}

TEST(validation, rows_are_possible) {
    // Twice the same key would be one measurement counted twice; MF-B's are four measurements of one shape.
    std::map<std::tuple<run_group, std::string, element, io_layout, size_t, size_t, size_t, int>, int> seen;
    const chip & soc = *find_chip("rk3588").value();
    for (const published_run & row : published_runs()) {
        const npu_run & run = row.run;
        const auto key =
            std::make_tuple(row.group, std::string(row.source), run.type, run.layout, run.M, run.K, run.N, row.n_cores);
        if (row.source != std::string("MF-B")) {
            EXPECT_EQ(seen[key]++, 0) << row.source << " " << run.M << "x" << run.K << "x" << run.N;
        }
        EXPECT_EQ(run.K % size_t(soc.tile(run.type).k_align), 0u) << run.K;
        // Faster than every multiplier at once, or than all of the memory, nobody is.
        const double macs = double(run.M) * double(run.K) * double(run.N) / (row.node ? row.n_cores : 1);
        EXPECT_GT(row.measured_us, macs / soc.tile(run.type).macs_per_cycle * 1e-3);
        EXPECT_GT(row.measured_us, double(element_bytes(run.type, run.K)) * double(run.N) / 34.0 * 1e-3);
    }
}

TEST(validation, the_held_out_half_keeps_the_bounds) {
    const error_summary judged = summarize_errors(published_model(), rows_of(true));
    EXPECT_LE(judged.median, median_bound);
    EXPECT_LE(judged.percentile_90, percentile_90_bound);
}

TEST(validation, pinned_boards_are_met_within_a_sixth) {
    const timing_model model = published_model();
    for (const run_group group : {run_group::pinned, run_group::normal, run_group::nodes})
        EXPECT_LE(summarize_errors(model, rows_of(true, group)).worst, 1.0 / 6) << group_name(group);
}

TEST(validation, wrong_constants_are_found_out) {
    const timing_model right = published_model();
    const auto judged = [](const timing_model & model) { return summarize_errors(model, rows_of(true)); };
    const error_summary good = judged(right);
    timing_model slow = right, no_cache = right, no_conversion = right, no_conditions = right;
    slow.soc.stream_gb_s *= 0.8;
    no_cache.soc.activation_cache_bytes /= 2;
    no_conversion.soc.normal_ns = no_conversion.soc.normal_hot_ns = 1e-3;
    for (conditions & where : no_conditions.where)
        where = {};
    EXPECT_GT(judged(slow).median, 0.12);
    EXPECT_GT(judged(no_cache).percentile_90, 0.30);
    EXPECT_GT(judged(no_conditions).percentile_90, 0.30);
    EXPECT_GT(summarize_errors(no_conversion, rows_of(false, run_group::normal)).worst, 0.5);
    EXPECT_LT(good.median, 0.06);
}

TEST(validation, constants_are_what_the_fitting_half_asks_for) {
    for (const fitted_constant & c : fit_constants()) {
        if (std::isnan(c.fitted)) {
            EXPECT_STREQ(c.name, "output, 2 bytes");
            continue;
        }
        // Where they differ by more than 5 % a remark says why, and by more than a quarter none is enough.
        const double off = std::abs(c.fitted / c.used - 1);
        EXPECT_LE(off, *c.remark ? 0.25 : 0.05) << c.name << " " << c.used << " " << c.fitted;
        const double beside_source = c.stated > 0 ? std::abs(c.used / c.stated - 1) : 0;
        EXPECT_LE(beside_source, *c.remark ? 0.25 : 0.05) << c.name;
    }
}

TEST(validation, every_miss_is_explained) {
    const timing_model model = published_model();
    for (const published_run & row : published_runs()) {
        const bool miss = std::abs(predict_us(model, row) / row.measured_us - 1) > miss_bound;
        EXPECT_TRUE(!miss || explain_miss(row))
            << row.source << " " << row.run.M << "x" << row.run.K << "x" << row.run.N;
    }
}

TEST(validation, summaries_are_by_rank) {
    timing_model model = published_model();
    std::vector<published_run> rows;
    std::vector<const published_run *> some;
    for (int i = 1; i <= 10; i++) {
        published_run row = published_runs()[0];
        row.measured_us = predict_us(model, row) / (1 + 0.01 * i);
        rows.push_back(row);
    }
    for (const published_run & row : rows)
        some.push_back(&row);
    const error_summary sum = summarize_errors(model, some);
    EXPECT_EQ(sum.n, 10u);
    EXPECT_NEAR(sum.median, 0.055, 1e-12);
    EXPECT_NEAR(sum.percentile_90, 0.09, 1e-12);
    EXPECT_NEAR(sum.worst, 0.10, 1e-12);
    EXPECT_EQ(summarize_errors(model, {}).n, 0u);
}

TEST(validation, both_prints_say_the_same) {
    testing::internal::CaptureStdout();
    EXPECT_TRUE(print_validation(true).ok());
    const json all = json::parse(testing::internal::GetCapturedStdout());
    testing::internal::CaptureStdout();
    EXPECT_TRUE(print_validation(false).ok());
    const std::string text = testing::internal::GetCapturedStdout();
    EXPECT_EQ(all.at("rows").size(), published_runs().size());
    EXPECT_EQ(all.at("groups").size(), size_t(n_run_groups));
    EXPECT_TRUE(all.at("modelled").get<bool>());
    size_t misses = 0;
    for (const json & row : all.at("rows"))
        misses += row.contains("miss");
    size_t printed = 0;
    for (size_t at = text.find("measured "); at != std::string::npos; at = text.find("measured ", at + 1))
        printed += text.find(" us, predicted", at) < text.find('\n', at);
    EXPECT_EQ(printed, misses);
    char median[32];
    std::snprintf(median, sizeof(median), "%6.1f", 100 * all.at("judged").at("median").get<double>());
    EXPECT_NE(text.find(median), std::string::npos);
}

} // namespace
} // namespace rknpu
