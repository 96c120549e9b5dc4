// From native accumulator cells back to f32 rows.
//
// Invariant: (value * row_scale) * column_scale, each product rounded once, then one addition where accumulating; no
// fused operations, so every instruction set gives the same bits.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#include <cstring>
#include <type_traits>

#ifndef RKNPU_DEQUANTIZE_OPERANDS // this file is read once per instruction set
#define RKNPU_DEQUANTIZE_OPERANDS
namespace rknpu::kernels {
namespace {
struct operands {
    const uint8_t * cells;
    size_t cell_stride;
    float row_scale;
    const float * column_scale;
    size_t count;
    float * y;
};
} // namespace
} // namespace rknpu::kernels
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dequantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Integers below 2^22 as f32.
template <class D> HWY_INLINE hn::Vec<D> small_to_f32(D d, hn::Vec<hn::Rebind<int32_t, D>> values) {
    if constexpr (HWY_TARGET == HWY_NEON) {
        // An integer added to the bits of 1.5 * 2^23 is added to its value. The widening addition and the subtraction
        // spare the A76's conversion, which holds the one pipe that has it for two cycles: 20 % in the whole kernel.
        const hn::Rebind<int32_t, D> di;
        const auto magic = hn::Set(d, 0x1.8p23f);
        return hn::Sub(hn::BitCast(d, hn::Add(hn::BitCast(di, magic), values)), magic);
    } else {
        return hn::ConvertTo(d, values);
    }
}

// A vector of accumulators as f32, rounded to nearest even where f32 cannot hold them.
template <class ACC, class D> HWY_INLINE hn::Vec<D> load_values(D d, const uint8_t * p) {
    const auto values = hn::LoadU(hn::Rebind<ACC, D>(), reinterpret_cast<const ACC *>(p));
    if constexpr (std::is_same_v<ACC, float>) {
        return values;
    } else if constexpr (std::is_same_v<ACC, int32_t>) {
        return hn::ConvertTo(d, values);
    } else {
        return small_to_f32(d, hn::PromoteTo(hn::Rebind<int32_t, D>(), values));
    }
}

// radix * high + low of two cells. In integers where both digits have 16 bits: f32 holds every step of that exactly, so
// it is the same value with half the conversions.
template <class ACC, int RADIX, class D> HWY_INLINE hn::Vec<D> load_digits(D d, const uint8_t * high) {
    if constexpr (std::is_same_v<ACC, int16_t>) {
        static_assert(RADIX == 16, "the sum has to stay below 2^22");
        const hn::Rebind<int32_t, D> di;
        const auto digit = [&](const uint8_t * p) HWY_ATTR {
            return hn::PromoteTo(di, hn::LoadU(hn::Rebind<int16_t, D>(), reinterpret_cast<const int16_t *>(p)));
        };
        return small_to_f32(d, hn::Add(hn::ShiftLeft<4>(digit(high)), digit(high + 16)));
    } else {
        return hn::Add(hn::Mul(load_values<ACC>(d, high), hn::Set(d, float(RADIX))), load_values<ACC>(d, high + 16));
    }
}

// The next VECTORS vectors of columns. Vectors wider than a cell need adjacent cells.
template <class ACC, bool ACCUMULATE, int VECTORS, class D> HWY_INLINE void convert(D d, operands o) {
    constexpr size_t lanes = hn::MaxLanes(d);
    constexpr size_t bytes = lanes * sizeof(ACC), per_cell = bytes < 16 ? 16 / bytes : 1;
    const auto row = hn::Set(d, o.row_scale);
    hn::Vec<D> v[VECTORS];
#pragma GCC unroll 4
    for (size_t i = 0; i < VECTORS; i++) {
        const size_t place = bytes > 16 ? i * bytes : i / per_cell * o.cell_stride + i % per_cell * bytes;
        v[i] = hn::Mul(load_values<ACC>(d, o.cells + place), row);
        v[i] = hn::Mul(v[i], hn::LoadU(d, o.column_scale + i * lanes));
        if constexpr (ACCUMULATE) v[i] = hn::Add(hn::LoadU(d, o.y + i * lanes), v[i]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < VECTORS; i++)
        hn::StoreU(v[i], d, o.y + i * lanes);
}

// As many steps of VECTORS vectors as the columns fill; what is left over.
template <class ACC, bool ACCUMULATE, int VECTORS, class D> HWY_INLINE operands convert_columns(D d, operands o) {
    constexpr size_t step = VECTORS * hn::MaxLanes(d);
    const size_t cell_step = step * sizeof(ACC) / 16 * o.cell_stride;
    for (; o.count >= step; o.count -= step) {
        convert<ACC, ACCUMULATE, VECTORS>(d, o);
        o.cells += cell_step;
        o.column_scale += step;
        o.y += step;
    }
    return o;
}

template <class ACC, bool ACCUMULATE> void dequantize(operands o) {
    constexpr size_t in_cell = 16 / sizeof(ACC);
    const hn::CappedTag<float, in_cell> d_cell;
    constexpr int vectors_in_cell = int(in_cell / hn::MaxLanes(d_cell));
    // Cells of a single row, as in decoding, are adjacent: a plain array for vectors of any width.
    if (o.cell_stride == 16) o = convert_columns<ACC, ACCUMULATE, 4>(hn::ScalableTag<float>(), o);
    if constexpr (HWY_TARGET == HWY_NEON) o = convert_columns<ACC, ACCUMULATE, 4>(d_cell, o); // elsewhere one is faster
    o = convert_columns<ACC, ACCUMULATE, vectors_in_cell>(d_cell, o);
    for (size_t n = 0; n < o.count; n++) {
        ACC value; // the cell is whole, y and column_scale are not
        std::memcpy(&value, o.cells + n * sizeof value, sizeof value);
        const float v = float(value) * o.row_scale * o.column_scale[n];
        o.y[n] = ACCUMULATE ? o.y[n] + v : v;
    }
}

// The next CELLS pairs of cells: two digits of a row lie in neighbouring cells. A vector is at most a cell wide.
template <class ACC, int RADIX, bool ACCUMULATE, int CELLS> HWY_INLINE void convert_digits(operands o) {
    constexpr size_t in_cell = 16 / sizeof(ACC);
    const hn::CappedTag<float, in_cell> d;
    constexpr size_t lanes = hn::MaxLanes(d), vectors = CELLS * in_cell / lanes;
    const auto row = hn::Set(d, o.row_scale);
    hn::Vec<decltype(d)> v[vectors];
#pragma GCC unroll 4
    for (size_t i = 0; i < vectors; i++) {
        const uint8_t * cell = o.cells + i * lanes / in_cell * o.cell_stride + i * lanes % in_cell * sizeof(ACC);
        v[i] = load_digits<ACC, RADIX>(d, cell);
        v[i] = hn::Mul(hn::Mul(v[i], row), hn::LoadU(d, o.column_scale + i * lanes));
        if constexpr (ACCUMULATE) v[i] = hn::Add(hn::LoadU(d, o.y + i * lanes), v[i]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < vectors; i++)
        hn::StoreU(v[i], d, o.y + i * lanes);
}

template <class ACC, int RADIX, bool ACCUMULATE, int CELLS> HWY_INLINE operands convert_digit_columns(operands o) {
    constexpr size_t step = CELLS * 16 / sizeof(ACC);
    for (; o.count >= step; o.count -= step) {
        convert_digits<ACC, RADIX, ACCUMULATE, CELLS>(o);
        o.cells += CELLS * o.cell_stride;
        o.column_scale += step;
        o.y += step;
    }
    return o;
}

template <class ACC, int RADIX, bool ACCUMULATE> void dequantize_digits(operands o) {
    constexpr int at_once = sizeof(ACC) == 4 ? 4 : 2; // cells of 16 columns, as without digits
    if constexpr (HWY_TARGET == HWY_NEON) o = convert_digit_columns<ACC, RADIX, ACCUMULATE, at_once>(o);
    o = convert_digit_columns<ACC, RADIX, ACCUMULATE, 1>(o);
    for (size_t n = 0; n < o.count; n++) {
        ACC high, low;
        std::memcpy(&high, o.cells + n * sizeof high, sizeof high);
        std::memcpy(&low, o.cells + 16 + n * sizeof low, sizeof low);
        const float scaled = float(high) * float(RADIX); // exact, unlike a fused sum of both
        const float v = (scaled + float(low)) * o.row_scale * o.column_scale[n];
        o.y[n] = ACCUMULATE ? o.y[n] + v : v;
    }
}

void digits_i32(operands o, bool accumulate) {
    const auto run = accumulate ? dequantize_digits<int32_t, 256, true> : dequantize_digits<int32_t, 256, false>;
    run(o);
}

void digits_i16(operands o, bool accumulate) {
    const auto run = accumulate ? dequantize_digits<int16_t, 16, true> : dequantize_digits<int16_t, 16, false>;
    run(o);
}

void dequantize_i32(operands o, bool accumulate) {
    const auto run = accumulate ? dequantize<int32_t, true> : dequantize<int32_t, false>;
    run(o);
}

void dequantize_i16(operands o, bool accumulate) {
    const auto run = accumulate ? dequantize<int16_t, true> : dequantize<int16_t, false>;
    run(o);
}

void dequantize_f32(operands o, bool accumulate) {
    const auto run = accumulate ? dequantize<float, true> : dequantize<float, false>;
    run(o);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(dequantize_i32);
HWY_EXPORT(dequantize_i16);
HWY_EXPORT(dequantize_f32);
HWY_EXPORT(digits_i32);
HWY_EXPORT(digits_i16);

void dequantize_i32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_i32)({cells, cell_stride, row_scale, column_scale, count, y}, accumulate);
}

void dequantize_i16_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_i16)({cells, cell_stride, row_scale, column_scale, count, y}, accumulate);
}

void dequantize_f32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_f32)({cells, cell_stride, row_scale, column_scale, count, y}, accumulate);
}

void dequantize_i32_digits(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                           size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(digits_i32)({cells, cell_stride, row_scale, column_scale, count, y}, accumulate);
}

void dequantize_i16_digits(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                           size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(digits_i16)({cells, cell_stride, row_scale, column_scale, count, y}, accumulate);
}

} // namespace rknpu::kernels
#endif
