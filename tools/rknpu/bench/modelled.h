// What rknpu predict would have said of the tests that rknpu bench has measured.
//
// Invariant: changes nothing that was measured; where the model cannot be read there is a note instead of a figure.
#pragma once

#include "bench/bench.h"

namespace rknpu {

// Fills modelled_tokens_s of each phase, for report.wishes.board.
void add_modelled(bench_report & report);

} // namespace rknpu
