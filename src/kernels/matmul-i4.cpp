// The i4 product of one job on native operands: sums in i32, then saturated to i16.
//
// Invariant: integer sums, so every instruction set and every order gives the same bits.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul-i4.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/matmul-int-inl.h"

RKNPU_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {

struct i4_product : integer_units {
    static constexpr size_t tile_n = 64;
    static constexpr size_t row_bytes = 16;

    // The 16 codes of 8 bytes, even k in the low nibble, sign-extended. (x ^ 8) - 8 does that for four bits.
    static vec_i8x16 load(const uint8_t * p) {
        const tag_i8x16 d;
        const hn::FixedTag<uint8_t, 16> du8;
        const hn::FixedTag<uint16_t, 8> du16;
        const hn::FixedTag<uint8_t, 8> half;
        const auto bytes = hn::PromoteTo(du16, hn::LoadU(half, p));
        const auto spread = hn::BitCast(du8, hn::Or(bytes, hn::ShiftLeft<4>(bytes)));
        const auto nibbles = hn::BitCast(d, hn::And(spread, hn::Set(du8, 0x0f)));
        return hn::Sub(hn::Xor(nibbles, hn::Set(d, 8)), hn::Set(d, 8));
    }
    // Four units start at code k of a row of 32: the lower or the upper codes of a load.
    static vec_i8x16 load_at(const uint8_t * row, size_t k) {
        const vec_i8x16 codes = load(row + k / 16 * 8);
        if (codes_per_load == 16 || k % 16 == 0) return codes;
        const tag_i8x16 d;
        return hn::ShiftRightBytes<8>(d, codes);
    }
    static vec_i32x4 weight_units(const uint8_t * row, size_t u) { return weight_of(load_at(row, u * group)); }
    static vec_i32x4 activation_units(const uint8_t * cells, size_t stride, size_t u) {
        const size_t k = u * group;
        return activation_of(load_at(cells + k / 32 * stride, k % 32));
    }
    static int32_t row_bias(const uint8_t * cells, size_t stride, size_t K) {
        int32_t sum = 0;
        for (size_t k = 0; k < K; k += 32, cells += stride) {
            sum += sum_of_codes(hn::Add(load(cells), load(cells + 8)));
        }
        return bias_of(sum);
    }
    static void store(const int32_t * values, size_t count, uint8_t * output, size_t M, size_t m, size_t n) {
        const tag_i32x4 d;
        const hn::FixedTag<int16_t, 4> d16;
        for (size_t i = 0; i < count; i += 4) {
            uint8_t * place = output + 16 * ((n + i) / 8 * M + m) + (n + i) % 8 * 2;
            hn::StoreU(hn::DemoteTo(d16, hn::LoadU(d, values + i)), d16, reinterpret_cast<int16_t *>(place));
        }
    }
};

void multiply_i4(const uint8_t * activation, const uint8_t * weight, uint8_t * output, size_t M, size_t K,
                 size_t n_begin, size_t n_end) {
    multiply<i4_product>(activation, weight, output, M, K, n_begin, n_end);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(multiply_i4);

void matmul_native_i4(const void * activation, const void * weight, void * output, size_t M, size_t K, size_t n_begin,
                      size_t n_end) {
    HWY_DYNAMIC_DISPATCH(multiply_i4)
    (static_cast<const uint8_t *>(activation), static_cast<const uint8_t *>(weight), static_cast<uint8_t *>(output), M,
     K, n_begin, n_end);
}

} // namespace rknpu::kernels
#endif
