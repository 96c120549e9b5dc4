// The row kernels on rows of 4096 as the backend calls them, for the benchmark and for the instruction count.
//
// Invariant: a run touches 4096 elements of the f32 side and buffers that stay in the level 2 cache.
#pragma once

#include "kernels/kernels.h"
#include "layout/layout.h"
#include "plan/chip.h"

#include <cstring>
#include <vector>

constexpr size_t row_length = 4096;
constexpr size_t adjacent = 16;    // cell stride of one token
constexpr size_t strided = 16 * 4; // and of one row of four
constexpr size_t n_digits = 2;     // rows that a token with two digits takes

struct row_buffers {
    std::vector<float> x, y, scales, ones;
    std::vector<uint8_t> signs, cells;
    std::vector<uint8_t> native; // a tile row of weights
    float sink = 0;

    row_buffers()
        : x(row_length), y(row_length), scales(row_length, 0.5f), ones(row_length, 1.0f), signs(row_length / 8, 0xa5),
          cells(row_length * 4 * 4 * n_digits) {
        for (size_t i = 0; i < row_length; i++)
            x[i] = float(i % 257) - 128.0f;
        for (size_t i = 0; i < cells.size() / 4; i++) { // a sensible number both as f32 and as integers
            const float value = float(i % 251);
            std::memcpy(&cells[4 * i], &value, 4);
        }
    }
};

struct row_case {
    const char * name;
    size_t bytes; // read and written
    void (*run)(row_buffers &);
};

using row_quantize = void (*)(const float *, float, size_t, uint8_t *, size_t);
using row_dequantize = void (*)(const uint8_t *, size_t, float, const float *, size_t, bool, float *);

template <row_quantize kernel, size_t stride> void quantize_row(row_buffers & b) {
    kernel(b.x.data(), 0.9f, row_length, b.cells.data(), stride);
}
template <row_dequantize kernel, size_t stride, bool accumulate> void dequantize_row(row_buffers & b) {
    kernel(b.cells.data(), stride, 0.25f, b.scales.data(), row_length, accumulate, b.y.data());
}
// The scale of the transform keeps the energy of the row, so repeating it in place never overflows.
template <size_t block> void hadamard_row(row_buffers & b) {
    rknpu::kernels::hadamard_rows(b.x.data(), b.signs.data(), row_length, block);
}
// By ones, for it is repeated in place.
inline void multiply_row(row_buffers & b) {
    rknpu::kernels::multiply(b.x.data(), b.ones.data(), row_length);
}
inline void absmax_row(row_buffers & b) {
    b.sink = rknpu::kernels::absmax(b.x.data(), row_length);
}
// One row of weight codes into its tiles; the other rows of the tiles lie between.
template <rknpu::element type, class CODE,
          void (*pack)(const rknpu::weight_layout &, size_t, const CODE *, size_t, void *)>
void pack_row(row_buffers & b) {
    static const rknpu::tile_shape tile = rknpu::find_chip("rk3588").value()->tile(type);
    static const std::vector<CODE> codes(row_length, CODE(3));
    b.native.resize(size_t(tile.weight_n) * row_length * 2);
    pack(rknpu::weight_layout(tile, size_t(tile.weight_n), row_length), 0, codes.data(), row_length, b.native.data());
}

namespace kernels = rknpu::kernels;
constexpr row_case row_cases[] = {
    {"absmax", 4 * row_length, absmax_row},
    {"hadamard/4096", 8 * row_length, hadamard_row<4096>},
    {"hadamard/512", 8 * row_length, hadamard_row<512>},
    {"multiply", 12 * row_length, multiply_row},
    {"quantize_f32_i8/M=1", 5 * row_length, quantize_row<kernels::quantize_f32_i8, adjacent>},
    {"quantize_f32_i8/M=4", 5 * row_length, quantize_row<kernels::quantize_f32_i8, strided>},
    {"quantize_f32_i4/M=1", 9 * row_length / 2, quantize_row<kernels::quantize_f32_i4, adjacent>},
    {"quantize_f32_i4/M=4", 9 * row_length / 2, quantize_row<kernels::quantize_f32_i4, strided>},
    {"quantize_f32_i8_digits/M=1", 6 * row_length, quantize_row<kernels::quantize_f32_i8_digits, n_digits * adjacent>},
    {"quantize_f32_i8_digits/M=4", 6 * row_length, quantize_row<kernels::quantize_f32_i8_digits, n_digits * strided>},
    {"quantize_f32_i4_digits/M=1", 5 * row_length, quantize_row<kernels::quantize_f32_i4_digits, n_digits * adjacent>},
    {"quantize_f32_i4_digits/M=4", 5 * row_length, quantize_row<kernels::quantize_f32_i4_digits, n_digits * strided>},
    {"quantize_f32_f16/M=1", 6 * row_length, quantize_row<kernels::quantize_f32_f16, adjacent>},
    {"quantize_f32_f16/M=4", 6 * row_length, quantize_row<kernels::quantize_f32_f16, strided>},
    {"dequantize_i32_f32/M=1", 12 * row_length, dequantize_row<kernels::dequantize_i32_f32, adjacent, false>},
    {"dequantize_i32_f32/M=4", 12 * row_length, dequantize_row<kernels::dequantize_i32_f32, strided, false>},
    {"dequantize_i32_f32/add", 16 * row_length, dequantize_row<kernels::dequantize_i32_f32, adjacent, true>},
    {"dequantize_i16_f32/M=1", 10 * row_length, dequantize_row<kernels::dequantize_i16_f32, adjacent, false>},
    {"dequantize_i16_f32/M=4", 10 * row_length, dequantize_row<kernels::dequantize_i16_f32, strided, false>},
    {"dequantize_i16_f32/add", 14 * row_length, dequantize_row<kernels::dequantize_i16_f32, adjacent, true>},
    {"dequantize_i32_digits/M=1", 16 * row_length,
     dequantize_row<kernels::dequantize_i32_digits, n_digits * adjacent, false>},
    {"dequantize_i32_digits/M=4", 16 * row_length,
     dequantize_row<kernels::dequantize_i32_digits, n_digits * strided, false>},
    {"dequantize_i32_digits/add", 20 * row_length,
     dequantize_row<kernels::dequantize_i32_digits, n_digits * adjacent, true>},
    {"dequantize_i16_digits/M=1", 12 * row_length,
     dequantize_row<kernels::dequantize_i16_digits, n_digits * adjacent, false>},
    {"dequantize_i16_digits/M=4", 12 * row_length,
     dequantize_row<kernels::dequantize_i16_digits, n_digits * strided, false>},
    {"dequantize_i16_digits/add", 16 * row_length,
     dequantize_row<kernels::dequantize_i16_digits, n_digits * adjacent, true>},
    {"dequantize_f32_f32/M=1", 12 * row_length, dequantize_row<kernels::dequantize_f32_f32, adjacent, false>},
    {"dequantize_f32_f32/M=4", 12 * row_length, dequantize_row<kernels::dequantize_f32_f32, strided, false>},
    {"dequantize_f32_f32/add", 16 * row_length, dequantize_row<kernels::dequantize_f32_f32, adjacent, true>},
    {"pack_weight_row_i8", 2 * row_length, pack_row<rknpu::element::i8, int8_t, rknpu::pack_weight_row_i8>},
    {"pack_weight_row_i4", 3 * row_length / 2, pack_row<rknpu::element::i4, int8_t, rknpu::pack_weight_row_i4>},
    {"pack_weight_row_f16", 4 * row_length, pack_row<rknpu::element::f16, uint16_t, rknpu::pack_weight_row_f16>},
};
