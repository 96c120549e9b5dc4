// Numeric formats of a matmul on the NPU, written w<weight bits>a<activation bits>.
#pragma once

#include "base/status.h"
#include "plan/chip.h"

#include <string>

namespace rknpu {

enum class format {
    w16a16, // native f16 x f16 -> f32; rows scaled so that nothing overflows f16
    w8a8,   // i8 x i8 -> i32; one scale per output channel and K segment, one per token
};

const char * format_name(format f);
result<format> parse_format(const std::string & name);

// The NPU element type that carries a format.
constexpr element format_element(format f) {
    return f == format::w16a16 ? element::f16 : element::i8;
}

} // namespace rknpu
