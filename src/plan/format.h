// Numeric formats of a matmul on the NPU, written w<weight bits>a<activation bits>.
//
// Invariant: one row of the table below says everything about a format; nobody else lists them.
#pragma once

#include "base/status.h"
#include "plan/chip.h"

#include <string>

namespace rknpu {

enum class format {
    w16a16, // native f16 x f16 -> f32; rows scaled so that nothing overflows f16
    w8a16,  // i8 weights; an activation is two 8-bit digits, 256 h + l, as two rows of one job
    w8a8,   // i8 x i8 -> i32; one scale per output channel and K segment, one per token
    w4a8,   // i4 weights; an activation is two balanced 4-bit digits, 16 h + l, as two rows of one job
    w4a4,   // i4 x i4 -> i16
};
constexpr format all_formats[] = {format::w16a16, format::w8a16, format::w8a8, format::w4a8, format::w4a4};

struct format_traits {
    const char * name;
    element type;         // that the NPU multiplies
    int weight_limit;     // weight codes lie in -limit - 1 .. limit; 0: f16
    int activation_limit; // activation codes likewise, all digits together
    int digits;           // rows of a job per activation row
    int radix;            // value of one unit of the high digit, where there are two
    // Largest sum of |weight code| over one K segment for which no activation can overflow the accumulator; 0: none can
    // at any K that a job allows.
    int code_sum_max;
    // An activation row of root mean square r is clamped at activation_clip * r where its largest magnitude is above
    // that; 0: never.
    float activation_clip;

    bool is_integer() const { return weight_limit > 0; }
};

const format_traits & traits_of(format f);

inline const char * format_name(format f) {
    return traits_of(f).name;
}
result<format> parse_format(const std::string & name);
inline element format_element(format f) {
    return traits_of(f).type;
}

} // namespace rknpu
