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

// The largest magnitude gets the largest code.
inline row_scale integer_scale(int limit, float absmax) {
    if (!(absmax > 0)) return {0.0f, 0.0f};
    const row_scale s{absmax / float(limit), float(limit) / absmax};
    // absmax so small that the inverse is infinite: such a row is zero for every purpose.
    return std::isfinite(s.inverse) ? s : row_scale{0.0f, 0.0f};
}

} // namespace rknpu
