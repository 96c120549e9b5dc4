// The timing model against published single runs (modelled / measured by others); sources in each row.
#include "plan/cost.h"

#include <gtest/gtest.h>

namespace rknpu {
namespace {

struct published {
    const char * source;
    element type;
    size_t M, K, N;
    double measured_us;
};

// Native layouts, one core, clocks pinned: unimatrix099/rk-llama.cpp docs (int4-research, decode-research).
const published runs[] = {
    {"int8 128x1024x8192", element::i8, 128, 1024, 8192, 1144},
    {"int8 128x2048x2048", element::i8, 128, 2048, 2048, 797},
    {"int8 128x2048x8192", element::i8, 128, 2048, 8192, 3102},
    {"int4 128x1024x8192", element::i4, 128, 1024, 8192, 593},
    {"int4 128x2048x2048", element::i4, 128, 2048, 2048, 300},
    {"int4 128x2048x8192", element::i4, 128, 2048, 8192, 1110},
    {"int8 1x2048x2048", element::i8, 1, 2048, 2048, 390},
    {"int4 1x2048x2048", element::i4, 1, 2048, 2048, 203},
    {"int8 1x2560x87392", element::i8, 1, 2560, 87392, 20000},
};

TEST(cost, single_runs_within_a_sixth_of_published_ones) {
    for (const published & run : runs) {
        const double modelled = run_us(*find_chip("rk3588").value(), run.type, run.M, run.K, run.N, 1);
        EXPECT_NEAR(modelled / run.measured_us, 1.0, 1.0 / 6) << run.source;
    }
}

TEST(cost, three_cores_stream_what_was_published) {
    // unimatrix099 decode-research section 2: a node of three int4 slices, microseconds.
    const chip & soc = *find_chip("rk3588").value();
    const struct {
        size_t K, N;
        double measured_us;
    } nodes[] = {{2048, 2048, 123}, {2048, 16384, 587}, {8192, 2048, 325}, {4096, 4096, 315}};
    for (const auto & node : nodes) {
        EXPECT_NEAR(node_us(soc, element::i4, 1, node.K, node.N, 3) / node.measured_us, 1.0, 0.03)
            << node.K << "x" << node.N;
    }
}

TEST(cost, rows_are_free_within_a_weight_pass) {
    const chip & soc = *find_chip("rk3588").value();
    EXPECT_DOUBLE_EQ(run_us(soc, element::i8, 1, 4096, 4096, 1), run_us(soc, element::i8, 32, 4096, 4096, 1));
    EXPECT_GT(run_us(soc, element::i8, 33, 4096, 4096, 1),
              1.9 * run_us(soc, element::i8, 32, 4096, 4096, 1) - soc.run_us * 2);
}

} // namespace
} // namespace rknpu
