// SIMD inner loops of the host side, one portable Highway source each, dispatched at run time.
//
// Invariant: a kernel checks nothing and allocates nothing; callers pass padded sizes. "cells" are the 16-byte atoms of
// the native activation and output layouts: cell j of row m lies at j * cell_stride bytes (cell_stride = 16 * M), so a
// kernel gets the address of the row's first cell. All pointers may be unaligned unless said.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rknpu::kernels {

// max |x[i]|, i < count. NaN or infinity anywhere gives infinity or NaN: the result is finite only if every x is.
float absmax(const float * x, size_t count);

// sum of x[i]^2, i < count. Its last bits may differ between instruction sets.
float sum_squares(const float * x, size_t count);

// x[i] *= factors[i], i < count.
void multiply(float * x, const float * factors, size_t count);

// x <- blockwise orthonormal Walsh-Hadamard transform of (x * sign): for each block of `block` elements (a power of
// two, dividing count), y = H (s . x) / sqrt(block). Bit i of signs (i / 8, i % 8) set means minus.
void hadamard_rows(float * x, const uint8_t * signs, size_t count, size_t block);

// code = clamp(round_half_even(x * inverse_scale), -127, 127), 16 per cell. count is a multiple of 16.
void quantize_f32_i8(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride);

// code = clamp(round_half_even(x * inverse_scale), -8, 7), two per byte, even k in the low nibble, 32 per cell. count
// is a multiple of 32. Source of the layout: layout/layout.h.
void quantize_f32_i4(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride);

// The same with two digits, in two rows of one job: radix * high + low = code = clamp(round_half_even(x *
// inverse_scale), -limit, limit). The high digit's cell lies at cells + j * cell_stride, the low digit's
// 16 bytes after it. i8: radix 256, limit 127 * 256 + 127, low digit -128 .. 127; i4: radix 16, limit 7 * 16 + 7, low
// digit -8 .. 7. count is a multiple of 16 or 32.
void quantize_f32_i8_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride);
void quantize_f32_i4_digits(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride);

// Weight codes use all of two's complement: code = clamp(round_half_even(x * inverse_scale), -limit - 1, limit), one
// per byte; limit at most 127.
void quantize_f32_codes(const float * x, float inverse_scale, int limit, size_t count, int8_t * codes);

// f16 code = f16(x * inverse_scale), rounded to nearest even, 8 per cell. count is a multiple of 8.
void quantize_f32_f16(const float * x, float inverse_scale, size_t count, uint8_t * cells, size_t cell_stride);

// y[n] = cell value[n] * row_scale * column_scale[n], n < count; accumulate: y[n] += instead.
// Cells hold 4 accumulators each (i32 or f32) or 8 (i16). count need not be a multiple of that; the last cell is whole.
void dequantize_i32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y);
void dequantize_i16_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y);
void dequantize_f32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y);

// The same where a row has two digits: value = radix * high + low, the low digit's cell 16 bytes after the high one's.
void dequantize_i32_digits(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                           size_t count, bool accumulate, float * y);
void dequantize_i16_digits(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                           size_t count, bool accumulate, float * y);

// The product of one job on native operands, the arithmetic of the chip in software: used by the emulator, by the check
// mode and as the fallback when the NPU fails. output columns [n_begin, n_end), multiples of the weight tile's N; the
// weight has N rows in all. M rows, K a multiple of 32. Exact for i8; f16: products and sums in f32.
// i4: sums in i32, then saturated to [-32768, 32767]; even k is the low nibble of both operands.
void matmul_native_i8(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                      size_t n_end);
void matmul_native_f16(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                       size_t n_end);
void matmul_native_i4(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                      size_t n_end);

// Sums over a row of importance * x * code and importance * code^2, code = clamp(round_half_even(x * inverse), -limit
// - 1, limit); importance nullptr: 1. With scale s the squared error is the sum of importance * x^2, less 2 s xq, plus
// s^2 qq; it is least at s = xq / qq.
struct code_moments {
    double xq, qq;
};
code_moments sum_code_moments(const float * x, const float * importance, float inverse, int limit, size_t count);

// c[r][j] += sum over i < depth of a[8 i + r] * b[i * b_stride + j], r < rows <= 8, j < width. b is read up to width
// rounded up to 16; c is written up to width only. Best with all 8 rows.
constexpr size_t outer_rows = 8;
void add_outer_products(const float * a, const float * b, size_t b_stride, size_t depth, size_t width, size_t rows,
                        float * const * c);

// Rounds eight columns of `width` weight rows (a multiple of 16), one column after the other; column k of row j lies at
// [k * width + j], its scale at scale[k][j]. targets: the weights plus what earlier columns feed on; within the group,
// share[8 i + k] of column i's error goes to the target of column k > i.
// code = clamp(round_half_even(target * inverse), -limit - 1, limit); error = weight - scale * code.
void round_with_feedback(const float * weights, const float * targets, const float * share, const float * const * scale,
                         const float * const * inverse, int limit, size_t width, float * errors, int8_t * codes);

// Name of the instruction set in use, e.g. "AVX3_DL" or "NEON".
const char * isa_name();

} // namespace rknpu::kernels
