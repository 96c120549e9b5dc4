// From native accumulator cells back to f32 rows.
//
// Invariant: (value * row_scale) * column_scale, each product rounded once, then one addition where accumulating; no
// fused operations, so every instruction set gives the same bits.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dequantize.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using cell_f32 = hn::FixedTag<float, 4>;
using cell_i32 = hn::FixedTag<int32_t, 4>;

template <class ACC> hn::Vec<cell_f32> load_cell(const uint8_t * cell) {
    if constexpr (std::is_integral_v<ACC>) {
        return hn::ConvertTo(cell_f32(), hn::LoadU(cell_i32(), reinterpret_cast<const int32_t *>(cell)));
    } else {
        return hn::LoadU(cell_f32(), reinterpret_cast<const float *>(cell));
    }
}

template <class ACC, bool ACCUMULATE>
void dequantize(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale, size_t count,
                float * y) {
    const cell_f32 d;
    const auto row = hn::Set(d, row_scale);
    size_t n = 0;
    for (; n + 4 <= count; n += 4, cells += cell_stride) {
        auto v = hn::Mul(hn::Mul(load_cell<ACC>(cells), row), hn::LoadU(d, column_scale + n));
        if constexpr (ACCUMULATE) v = hn::Add(hn::LoadU(d, y + n), v);
        hn::StoreU(v, d, y + n);
    }
    if (n == count) return;
    HWY_ALIGN float scaled[4]; // the cell is whole, y and column_scale are not
    hn::Store(hn::Mul(load_cell<ACC>(cells), row), d, scaled);
    for (size_t i = 0; n + i < count; i++) {
        const float v = scaled[i] * column_scale[n + i];
        y[n + i] = ACCUMULATE ? y[n + i] + v : v;
    }
}

void dequantize_i32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                    size_t count, bool accumulate, float * y) {
    const auto run = accumulate ? dequantize<int32_t, true> : dequantize<int32_t, false>;
    run(cells, cell_stride, row_scale, column_scale, count, y);
}

void dequantize_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                    size_t count, bool accumulate, float * y) {
    const auto run = accumulate ? dequantize<float, true> : dequantize<float, false>;
    run(cells, cell_stride, row_scale, column_scale, count, y);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(dequantize_i32);
HWY_EXPORT(dequantize_f32);

void dequantize_i32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_i32)(cells, cell_stride, row_scale, column_scale, count, accumulate, y);
}

void dequantize_f32_f32(const uint8_t * cells, size_t cell_stride, float row_scale, const float * column_scale,
                        size_t count, bool accumulate, float * y) {
    HWY_DYNAMIC_DISPATCH(dequantize_f32)(cells, cell_stride, row_scale, column_scale, count, accumulate, y);
}

} // namespace rknpu::kernels
#endif
