// f16 in plain arithmetic, and repeatable random numbers, for the kernel tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

// The value of an f16 code, by the definition of the format.
inline double f16_value(uint16_t code) {
    const int exponent = code >> 10 & 31, mantissa = code & 1023;
    double magnitude;
    if (exponent == 31) {
        magnitude = mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    } else if (exponent == 0) {
        magnitude = std::ldexp(mantissa, -24);
    } else {
        magnitude = std::ldexp(1024 + mantissa, exponent - 25);
    }
    return code & 0x8000 ? -magnitude : magnitude;
}

// The f16 code nearest to a float, ties to even: the magnitudes of finite codes grow with the code, so a search does.
inline uint16_t f16_nearest(float x) {
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const double magnitude = std::fabs(double(x));
    if (std::isnan(x)) return 0x7e00;
    if (magnitude >= 65520) return sign | 0x7c00;
    uint16_t low = 0, high = 0x7bff; // largest code with value <= magnitude
    while (low < high) {
        const uint16_t middle = uint16_t((low + high + 1) / 2);
        if (f16_value(middle) <= magnitude)
            low = middle;
        else
            high = uint16_t(middle - 1);
    }
    const double below = f16_value(low), above = low == 0x7bff ? 65536.0 : f16_value(uint16_t(low + 1));
    const double to_below = magnitude - below, to_above = above - magnitude;
    const bool up = to_above < to_below || (to_above == to_below && low % 2 == 1);
    return sign | uint16_t(low + (up ? 1 : 0));
}

constexpr uint32_t test_seed = 20250611; // printed by failing tests through SCOPED_TRACE
