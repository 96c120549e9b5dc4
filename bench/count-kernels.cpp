// Instructions per element of the row kernels, independent of how busy the machine is. Runs under callgrind, which
// writes one file per case; scripts/kernel-instructions.sh makes the table. Without callgrind it only runs the kernels.
//
// Invariant: only the kernel counts: each case runs once before (pages, dispatch), then once counted.
#include "row-cases.h"

#include <cstdio>
#include <valgrind/callgrind.h>

int main() {
    std::printf("instruction set %s, rows of %zu\n", rknpu::kernels::isa_name(), row_length);
    for (const row_case & c : row_cases) {
        row_buffers buffers;
        c.run(buffers);
        CALLGRIND_ZERO_STATS;
        c.run(buffers);
        CALLGRIND_DUMP_STATS_AT(c.name);
    }
    return 0;
}
