// The instruction sets the kernels are built for; included before any Highway header.
//
// Invariant: every kernel file sees the same set, so that a forced or detected instruction set means the same in all.
#pragma once

// x86: the portable baseline, SSE4, AVX2, AVX-512 and AVX-512 with VNNI ("AVX3_DL", which Highway builds on request).
// SSSE3 adds nothing over SSE4 on machines in use. Vectors of unknown length (SVE) cannot be kept in arrays, as the
// matrix kernels do; every Rockchip chip we serve has NEON.
#define HWY_WANT_AVX3_DL 1
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE_256 | HWY_SVE2 | HWY_SVE2_128)

// The fallback below every instruction set: 16-byte vectors in plain C++ rather than one lane at a time. Highway avoids
// it for GCC before 12.3 because of a wrong-code bug of that compiler's vectorizer; we build with the vectorizer off.
#define HWY_BROKEN_EMU128 0
