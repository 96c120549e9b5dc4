// The chip table. Sources, by letter:
//   [H] vendor's matmul header and API reference, runtime 2.3.2     [G] vendor's user guide 2.3.0
//   [K] vendor kernel driver rknpu 0.9.8                            [T] RK3588 technical reference manual via jas-hacks
//   [U] unimatrix099/rk-llama.cpp docs (Orange Pi 5 Ultra, LPDDR5-4800, clocks pinned, librknnrt 2.3.2), measured there
//   [W] wtwver/rk3588-matmul-bench CSV (624 configurations x 30 runs), measured there
//   [M] marfrit/rk-llama.cpp docs/rknpu2-campaign-results.md, measured there
//   [F] our fit to [U] and [W] (modelled)
//   [P] our split of two published differences to idle (invisiofficial's backend tables): 2.8-4.0 W while the NPU
//       generates text (26 GB/s, cores busy two thirds of the time, one CPU core at work), 6.2-8.0 W while four CPU
//       cores do (23 GB/s). Two sums do not fix three constants: DRAM is set to 5 pJ a bit, a usual figure for LPDDR5.
//       No source gives the power of a rail; treat every energy as good to a factor of two.
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
    1.0,     // [T][U] NPU clock at its maximum
    33.0,    // [U] least squares over N = 64..3456: 32.9 us
    56.0,    // [F] of [U]'s three-core rows: 55.6 us + bytes / 31.6 GB/s, residual below 2 %
    11.15,   // [U] 11.1-11.2 GB/s, one core, any type
    31.6,    // [F] see node_us
    3.9,     // [F] output writes of 4-byte accumulators, at least
    6.0,     // [F] of [W]'s int4 rows, at least
    131072,  // [F] rows per weight pass step at 128 KiB for all three types
    393216,  // [T] 12 banks of 32 KiB
    16,      // [F] f16 of K = 8192, 8 rows a pass, takes twice its multiplication in [U] and [W]; hidden elsewhere
    2.2,     // [F] of [U]'s int8 128 x 1024 x 8192 (2.6) and 128 x 2048 x 8192 (1.8) with normal A and C
    0.1,     // [F] of [U]'s rows: so little that no row of theirs fixes it
    1 << 20, // [F] the same
    32768,   // [U] 87392 columns behave so, 8192 do not
    1.2,     // [U] 2554 bindings and 1704 syncs cost 5 ms
    20.0,    // [U] 16 MiB in 0.85 ms
    100.0,   // [M] at most: 10.7 switches cost no more than 0.25 % of 425 ms
    0.7,     // [P] see above
    0.04,    // [P]
    1.5,     // [P]
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
