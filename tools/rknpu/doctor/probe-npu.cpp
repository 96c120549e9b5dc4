// The NPU of this machine under test: opened as the plugin would, then a product in every format.
//
// Invariant: the NPU is closed again when this returns.
#include "doctor/machine.h"

#include "base/log.h"
#include "matmul/format-test.h"

namespace rknpu::doctor {

self_test_facts probe_npu(const settings & wishes) {
    self_test_facts t;
    t.probed = true;
    settings quiet = wishes;
    quiet.capture.clear();
    quiet.check = true; // every accumulator against the CPU's
    auto opened = engine::open(quiet);
    if (!opened.ok()) {
        t.nothing_there = opened.status().message().empty();
        t.failure = opened.status().message();
        return t;
    }
    engine & npu = *opened.value();
    t.device = npu.info().description;
    t.emulated = npu.info().emulated;
    for (const format f : all_formats) {
        const auto outcome = test_format(npu, f);
        if (!outcome.ok()) {
            t.failure = std::string(format_name(f)) + ": " + outcome.status().message();
            break;
        }
        const format_outcome & o = outcome.value();
        t.formats.push_back({format_name(f), o.error, o.allowed, o.on_npu, o.agrees});
    }
    if (npu.team().hung()) (void)opened.value().release(); // the hung thread refers to it for ever
    return t;
}

} // namespace rknpu::doctor
