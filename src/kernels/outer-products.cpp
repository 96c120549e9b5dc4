// Sums of outer products: the inner loop of every dense f32 product of calibration.
//
// Invariant: each element is the sum of its products in ascending order, then added to what was there; with one
// rounding per product where the machine has a fused multiply-add and two where it has not, so bits may differ between
// instruction sets.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/outer-products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tag = hn::ScalableTag<float>;
using vec = hn::Vec<tag>;

// Rows of accumulators that fit the registers beside the operands, two vectors each.
constexpr size_t max_rows = HWY_TARGET == HWY_NEON || HWY_TARGET <= HWY_AVX3 ? 8 : 4;

// ROWS rows of c, VECTORS vectors from column j on; `last` < Lanes of the last vector are stored if it is not 0.
template <size_t ROWS, size_t VECTORS>
HWY_INLINE void add_block(const float * a, const float * b, size_t b_stride, size_t depth, float * const * c, size_t j,
                          size_t last) {
    const tag d;
    const size_t lanes = hn::Lanes(d);
    vec sum[ROWS][VECTORS];
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
        for (size_t v = 0; v < VECTORS; v++)
            sum[r][v] = hn::Zero(d);
    }
    b += j;
    for (size_t i = 0; i < depth; i++, a += outer_rows, b += b_stride) {
        vec operand[VECTORS];
#pragma GCC unroll 2
        for (size_t v = 0; v < VECTORS; v++)
            operand[v] = hn::LoadU(d, b + v * lanes);
#pragma GCC unroll 8
        for (size_t r = 0; r < ROWS; r++) {
            const vec factor = hn::Set(d, a[r]);
#pragma GCC unroll 2
            for (size_t v = 0; v < VECTORS; v++)
                sum[r][v] = hn::MulAdd(factor, operand[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < ROWS; r++) {
        float * out = c[r] + j;
        if (last) {
            HWY_ALIGN float values[hn::MaxLanes(d)];
            hn::Store(sum[r][0], d, values);
            for (size_t i = 0; i < last; i++)
                out[i] += values[i];
            continue;
        }
#pragma GCC unroll 2
        for (size_t v = 0; v < VECTORS; v++)
            hn::StoreU(hn::Add(hn::LoadU(d, out + v * lanes), sum[r][v]), d, out + v * lanes);
    }
}

template <size_t ROWS>
void add_rows(const float * a, const float * b, size_t b_stride, size_t depth, size_t width, float * const * c) {
    const size_t lanes = hn::Lanes(tag());
    size_t j = 0;
    for (; j + 2 * lanes <= width; j += 2 * lanes)
        add_block<ROWS, 2>(a, b, b_stride, depth, c, j, 0);
    for (; j < width; j += lanes)
        add_block<ROWS, 1>(a, b, b_stride, depth, c, j, j + lanes <= width ? 0 : width - j);
}

void add_products(const float * a, const float * b, size_t b_stride, size_t depth, size_t width, size_t rows,
                  float * const * c) {
    size_t r = 0;
    for (; r + max_rows <= rows; r += max_rows)
        add_rows<max_rows>(a + r, b, b_stride, depth, width, c + r);
    for (; r < rows; r++)
        add_rows<1>(a + r, b, b_stride, depth, width, c + r);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(add_products);

void add_outer_products(const float * a, const float * b, size_t b_stride, size_t depth, size_t width, size_t rows,
                        float * const * c) {
    HWY_DYNAMIC_DISPATCH(add_products)(a, b, b_stride, depth, width, rows, c);
}

} // namespace rknpu::kernels
#endif
