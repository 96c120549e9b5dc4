// Splitting a job over N, adding segments of K, narrowing and laying out C; see arithmetic.h. The products themselves
// are the kernels of src/kernels, but for the i4 overflow rules that are off by default.
#include "arithmetic.h"

#include "kernels/kernels.h"
#include "layout/layout.h"
#include "settings.h"
#include "workers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace rknn_emu {

namespace abi = rknpu::abi;
using rknpu::element;

namespace {

int16_t saturate16(int32_t x) {
    return int16_t(std::min(std::max(x, -32768), 32767));
}

int nibble_code(const uint8_t * bytes, size_t index) {
    const int code = bytes[index / 2] >> (index % 2 * 4) & 0xf;
    return code < 8 ? code : code - 16;
}

// i4 with every overflow rule and any number of segments, plain loops. Running saturation acts after each tile of 32 k.
void multiply_i4_plain(const job & j, uint8_t * native_c, size_t n_begin, size_t n_end) {
    const shape & s = *j.s;
    const i4_overflow rule = config().overflow;
    const rknpu::activation_layout a_layout(s.tile(), s.M, s.K);
    const rknpu::output_layout c_layout(s.tile(), s.M, s.N);
    for (size_t m = 0; m < s.M; m++)
        for (size_t n = n_begin; n < n_end; n++) {
            int32_t sum = 0;
            for (size_t k0 = 0; k0 < s.K; k0 += 32) {
                const size_t segment = k0 / size_t(s.chip->k_max), first = segment * size_t(s.chip->k_max);
                const rknpu::weight_layout b_layout(s.tile(), s.N, s.segment_k(segment));
                const size_t a0 = a_layout.index(m, k0), b0 = first * s.N + b_layout.index(n, k0 - first);
                for (size_t i = 0; i < 32; i++)
                    sum += nibble_code(j.a, a0 + i) * nibble_code(j.b, b0 + i);
                if (rule == i4_overflow::saturate_running) sum = saturate16(sum);
            }
            const int16_t value = rule == i4_overflow::wrap ? int16_t(uint16_t(uint32_t(sum))) : saturate16(sum);
            std::memcpy(native_c + c_layout.index(m, n) * 2, &value, 2);
        }
}

// columns [n_begin, n_end) of a native matrix of 4-byte accumulators: sum += more
template <class T> void add_columns(uint8_t * sum, const uint8_t * more, size_t M, size_t n_begin, size_t n_end) {
    for (size_t i = n_begin * M * 4; i < n_end * M * 4; i += 4) {
        T x, y;
        std::memcpy(&x, sum + i, 4);
        std::memcpy(&y, more + i, 4);
        x = T(x + y);
        std::memcpy(sum + i, &x, 4);
    }
}

void multiply_wide(const job & j, uint8_t * sum, size_t n_begin, size_t n_end) {
    const shape & s = *j.s;
    const bool f16 = s.type->input == element::f16;
    for (size_t segment = 0; segment < s.n_segments(); segment++) {
        const size_t k0 = segment * size_t(s.chip->k_max);
        const uint8_t * a = j.a + rknpu::element_bytes(s.type->input, k0 * s.M);
        const uint8_t * b = j.b + rknpu::element_bytes(s.type->input, k0 * s.N);
        uint8_t * out = segment == 0 ? sum : j.scratch->segment.data();
        (f16 ? rknpu::kernels::matmul_native_f16
             : rknpu::kernels::matmul_native_i8)(a, b, out, s.M, s.segment_k(segment), n_begin, n_end);
        if (segment == 0) continue;
        // i32 wraps as the hardware's adders would; unsigned keeps that defined here
        if (f16)
            add_columns<float>(sum, out, s.M, n_begin, n_end);
        else
            add_columns<uint32_t>(sum, out, s.M, n_begin, n_end);
    }
}

uint16_t half_from_float(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00); // 65520 and above round to infinity
    if (magnitude < 0x38800000) {                                // denormal half: units of 2^-24
        float size;
        std::memcpy(&size, &magnitude, 4);
        return uint16_t(sign | uint32_t(std::nearbyint(size * 0x1p24f)));
    }
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

// Accumulators [N/4, M, 4] to the narrower C [N/atom, M, atom] of types 3 and 4.
void narrow_columns(const job & j, const uint8_t * sum, uint8_t * native_c, size_t n_begin, size_t n_end) {
    const shape & s = *j.s;
    const size_t atom = s.output_atom();
    for (size_t m = 0; m < s.M; m++)
        for (size_t n = n_begin; n < n_end; n++) {
            const uint8_t * from = sum + ((n / 4) * s.M * 4 + m * 4 + n % 4) * 4;
            uint8_t * to = native_c + ((n / atom) * s.M * atom + m * atom + n % atom) * size_t(s.type->output_bytes);
            if (s.type->input == element::f16) {
                float value;
                std::memcpy(&value, from, 4);
                const uint16_t half = half_from_float(value);
                std::memcpy(to, &half, 2);
            } else {
                int32_t value;
                std::memcpy(&value, from, 4);
                *to =
                    uint8_t(int8_t(std::min(std::max(std::nearbyint(double(value) * double(j.scale)), -128.0), 127.0)));
            }
        }
}

void multiply_columns(const job & j, size_t n_begin, size_t n_end) {
    const shape & s = *j.s;
    const bool narrow = s.type->input != element::i4 && s.type->output_bytes < 4;
    uint8_t * sum = j.c_norm || narrow ? j.scratch->sum.data() : j.c;
    if (s.type->input == element::i4) {
        if (config().overflow == i4_overflow::saturate_final && s.n_segments() == 1)
            rknpu::kernels::matmul_native_i4(j.a, j.b, sum, s.M, s.K, n_begin, n_end);
        else
            multiply_i4_plain(j, sum, n_begin, n_end);
    } else {
        multiply_wide(j, sum, n_begin, n_end);
    }
    const uint8_t * native_c = sum;
    if (narrow) {
        uint8_t * out = j.c_norm ? j.scratch->narrow.data() : j.c;
        narrow_columns(j, sum, out, n_begin, n_end);
        native_c = out;
    }
    if (j.c_norm) norm_c_from_native(s, native_c, j.c, n_begin, n_end);
}

} // namespace

void multiply(const job & j) {
    const shape & s = *j.s;
    const bool narrow = s.type->input != element::i4 && s.type->output_bytes < 4;
    if (j.c_norm || narrow) j.scratch->sum.resize(s.M * s.N * (s.type->input == element::i4 ? 2 : 4));
    if (s.n_segments() > 1 && s.type->input != element::i4) j.scratch->segment.resize(s.M * s.N * 4);
    if (narrow && j.c_norm) j.scratch->narrow.resize(s.bytes_c());

    constexpr size_t macs_per_piece = 2000000; // 10 to 100 us of one CPU: far above the cost of handing a piece over
    const size_t tile_n = size_t(s.tile().weight_n), n_tiles = s.N / tile_n;
    const size_t wanted = std::min(s.M * s.K * s.N / macs_per_piece + 1, 4 * size_t(config().threads));
    const size_t tiles_per_piece = (n_tiles + wanted - 1) / wanted;
    const size_t n_pieces = (n_tiles + tiles_per_piece - 1) / tiles_per_piece;
    run_pieces(n_pieces, [&](size_t piece) {
        const size_t n_begin = piece * tiles_per_piece * tile_n;
        multiply_columns(j, n_begin, std::min(n_begin + tiles_per_piece * tile_n, s.N));
    });
}

} // namespace rknn_emu
