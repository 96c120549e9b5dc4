// Choice of a row's scale from its largest magnitude; one home for weights and activations.
#pragma once

#include "plan/format.h"

#include <algorithm>
#include <cmath>

namespace rknpu {

// real = scale * code. inverse is what the row is multiplied by; 0 for an all-zero row, whose codes are zero.
struct row_scale {
    float scale, inverse;
};

// A power of two, so that scaling loses nothing; rows land in [2^7, 2^8), far from f16's overflow (65504, where the
// conversion gives infinity) and with 2^21 of room before its denormals. absmax must be finite and >= 0.
inline row_scale f16_scale(float absmax) {
    if (!(absmax > 0)) return {0.0f, 0.0f};
    int exponent;
    std::frexp(absmax, &exponent); // absmax = [0.5, 1) * 2^exponent
    // A row of tiny values must not make the inverse overflow.
    const int shift = std::min(8 - exponent, 120);
    return {std::ldexp(1.0f, -shift), std::ldexp(1.0f, shift)};
}

// absmax, finite and >= 0, maps to limit. If it is so small that the inverse is infinite, the row is zero for every
// purpose.
inline row_scale integer_scale(float absmax, int limit) {
    const float inverse = float(limit) / absmax;
    return std::isfinite(inverse) ? row_scale{absmax / float(limit), inverse} : row_scale{0.0f, 0.0f};
}

} // namespace rknpu
