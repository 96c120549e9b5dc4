// The chip table. Sources, by letter:
//   [H] vendor's matmul header and API reference, runtime 2.3.2     [G] vendor's user guide 2.3.0
//   [K] vendor kernel driver rknpu 0.9.8                            [T] RK3588 technical reference manual via jas-hacks
//   [U] unimatrix099/rk-llama.cpp docs (Orange Pi 5 Ultra, LPDDR5-4800, clocks pinned, librknnrt 2.3.2), measured there
//   [W] wtwver/rk3588-matmul-bench CSV (624 configurations x 30 runs), measured there
//   [F] our fit to [U] and [W] (modelled)
#include "plan/chip.h"

namespace rknpu {

namespace {

constexpr chip rk3588 = {
    "rk3588",
    3,                                // [T] three cores
    8192,                             // [H] native B is cut into K segments of 8192; [U] K <= 8192 runs
    16,                               // [K] RKNPU_MAX_IOMMU_DOMAIN_NUM
    uint64_t(4) << 30,                // [H][G] 4 GB per domain
    (uint64_t(2) << 30) - (64 << 10), // largest allocation that any project has used (rk-llama.cpp); above is untested
    {
        // atom k, tile n, tile k, atom n: [H][G] native layouts, confirmed bit for bit by [U]; alignments: [H];
        // MAC/cycle: [T] 1024 for int8, [W][U] best cases reach 87-95 % of 512 / 1024 / 2048
        {8, 16, 32, 4, 32, 16, 512},
        {16, 32, 32, 4, 32, 32, 1024},
        {32, 64, 32, 8, 32, 64, 2048},
    },
    1.0,    // [T][U] NPU clock at its maximum
    33.0,   // [U] least squares over N = 64..3456: 32.9 us
    56.0,   // [F] of [U]'s three-core rows: 55.6 us + bytes / 31.6 GB/s, residual below 2 %
    11.15,  // [U] 11.1-11.2 GB/s, one core, any type
    31.6,   // [F] see node_us
    3.9,    // [F] output writes of 4-byte accumulators, at least
    131072, // [F] rows per weight pass step at 128 KiB for all three types
};

} // namespace

const char * element_name(element type) {
    return type == element::f16 ? "f16" : type == element::i8 ? "i8" : "i4";
}

result<const chip *> find_chip(const std::string & name) {
    // RK3588S is the same die with fewer pins, RK3582/RK3583 have cores fused off.
    if (name == "rk3588" || name == "rk3588s") return &rk3588;
    return status(errc::unsupported,
                  "chip '" + name +
                      "' is not supported: this version knows rk3588 and rk3588s only; llama.cpp runs on the CPU");
}

} // namespace rknpu
