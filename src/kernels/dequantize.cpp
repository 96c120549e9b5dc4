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

// A vector of accumulators as f32, rounded to nearest even where f32 cannot hold them.
template <class ACC, class D> HWY_INLINE hn::Vec<D> load_values(D d, const uint8_t * p) {
    const hn::Rebind<int32_t, D> di;
    const auto values = hn::LoadU(hn::Rebind<ACC, D>(), reinterpret_cast<const ACC *>(p));
    if constexpr (std::is_same_v<ACC, float>) {
        return values;
    } else if constexpr (std::is_same_v<ACC, int32_t>) {
        return hn::ConvertTo(d, values);
    } else if constexpr (HWY_TARGET == HWY_NEON) {
        // An integer added to the bits of 1.5 * 2^23 is added to its value. A widening addition and a subtraction take
        // half the time of the A76's conversion, which has one pipe and takes it twice.
        const auto magic = hn::Set(d, 0x1.8p23f);
        return hn::Sub(hn::BitCast(d, hn::Add(hn::BitCast(di, magic), hn::PromoteTo(di, values))), magic);
    } else {
        return hn::ConvertTo(d, hn::PromoteTo(di, values));
    }
}

// VECTORS vectors of columns from n on. Vectors wider than a cell need adjacent cells.
template <class ACC, bool ACCUMULATE, int VECTORS, class D>
HWY_INLINE void convert(D d, const operands & o, const uint8_t * cell, size_t n) {
    constexpr size_t lanes = hn::MaxLanes(d);
    constexpr size_t bytes = lanes * sizeof(ACC), per_cell = bytes < 16 ? 16 / bytes : 1;
    const auto row = hn::Set(d, o.row_scale);
    hn::Vec<D> v[VECTORS];
#pragma GCC unroll 4
    for (size_t i = 0; i < VECTORS; i++) {
        const uint8_t * place = bytes > 16 ? cell + i * bytes : cell + i / per_cell * o.cell_stride + i % per_cell * bytes;
        v[i] = hn::Mul(load_values<ACC>(d, place), row);
        v[i] = hn::Mul(v[i], hn::LoadU(d, o.column_scale + n + i * lanes));
        if constexpr (ACCUMULATE) v[i] = hn::Add(hn::LoadU(d, o.y + n + i * lanes), v[i]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < VECTORS; i++)
        hn::StoreU(v[i], d, o.y + n + i * lanes);
}

// The columns from n on that fill whole steps of VECTORS vectors; returns the first one left over.
template <class ACC, bool ACCUMULATE, int VECTORS, class D>
HWY_INLINE size_t convert_columns(D d, const operands & o, size_t n, size_t count) {
    constexpr size_t step = VECTORS * hn::MaxLanes(d);
    const size_t cell_step = step * sizeof(ACC) / 16 * o.cell_stride;
    const uint8_t * cell = o.cells + n * sizeof(ACC) / 16 * o.cell_stride;
    for (; n + step <= count; n += step, cell += cell_step)
        convert<ACC, ACCUMULATE, VECTORS>(d, o, cell, n);
    return n;
}

template <class ACC, bool ACCUMULATE> void dequantize(const operands & o, size_t count) {
    constexpr size_t in_cell = 16 / sizeof(ACC);
    const hn::CappedTag<float, in_cell> d_cell;
    constexpr int vectors_in_cell = int(in_cell / hn::MaxLanes(d_cell));
    size_t n = 0;
    // Cells of a single row, as in decoding, are adjacent: a plain array for vectors of any width.
    if (o.cell_stride == 16) n = convert_columns<ACC, ACCUMULATE, 4>(hn::ScalableTag<float>(), o, n, count);
    n = convert_columns<ACC, ACCUMULATE, 4>(d_cell, o, n, count);
    n = convert_columns<ACC, ACCUMULATE, vectors_in_cell>(d_cell, o, n, count);
    for (const uint8_t * cell = o.cells + n / in_cell * o.cell_stride; n < count; n++, cell += sizeof(ACC)) {
        ACC value; // the cell is whole, y and column_scale are not
        std::memcpy(&value, cell, sizeof value);
        const float v = float(value) * o.row_scale * o.column_scale[n];
        o.y[n] = ACCUMULATE ? o.y[n] + v : v;
    }
}

void dequantize_i32(const operands & o, size_t count, bool accumulate) {
    const auto run = accumulate ? dequantize<int32_t, true> : dequantize<int32_t, false>;
    run(o, count);
}

void dequantize_i16(const operands & o, size_t count, bool accumulate) {
    const auto run = accumulate ? dequantize<int16_t, true> : dequantize<int16_t, false>;
    run(o, count);
}

void dequantize_f32(const operands & o, size_t count, bool accumulate) {
    const auto run = accumulate ? dequantize<float, true> : dequantize<float, false>;
    run(o, count);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(dequantize_i32);
HWY_EXPORT(dequantize_i16);
HWY_EXPORT(dequantize_f32);

void dequantize_i32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_i32)({cells, cell_stride, row_scale, column_scale, y}, count, accumulate);
}

void dequantize_i16_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_i16)({cells, cell_stride, row_scale, column_scale, y}, count, accumulate);
}

void dequantize_f32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_f32)({cells, cell_stride, row_scale, column_scale, y}, count, accumulate);
}

} // namespace rknpu::kernels
#endif
