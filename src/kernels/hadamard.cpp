// The randomised Walsh-Hadamard rotation of activation rows.
//
// Invariant: one read and write of the block per factor of up to 8 * lanes: signs, scale, the butterflies inside a
// vector and three stages across vectors happen in registers. The order of additions depends on the vector length only
// inside a stage's schedule, not in its operands, so every instruction set gives the same bits.
#include "kernels/targets.h"

#include "kernels/kernels.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/hadamard.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tag = hn::ScalableTag<float>;
using tag_u = hn::RebindToUnsigned<tag>;
using vec = hn::Vec<tag>;

// 0, 1, 2, ... as one load: with the vectorizer off, hn::Iota is a loop over memory.
inline hn::Vec<tag_u> lane_numbers() {
    alignas(64) static constexpr uint32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return hn::Load(tag_u(), numbers);
}

// Sign bits of the lanes that start at element i, a multiple of the number of lanes; reads no byte beyond them.
inline hn::Vec<tag_u> sign_bits(const uint8_t * signs, size_t i) {
    const tag_u du;
    uint32_t bits = uint32_t(signs[i / 8]) >> (i % 8);
    if (hn::Lanes(du) > 8) bits |= uint32_t(signs[i / 8 + 1]) << 8;
    const auto to_top = hn::Sub(hn::Set(du, 31), lane_numbers());
    return hn::And(hn::Shl(hn::Set(du, bits), to_top), hn::Set(du, 0x80000000u));
}

// Partner of lane i is lane i ^ STEP: the sum goes to the lower lane, the difference to the upper.
template <int STEP> inline vec butterfly_lanes(vec v) {
    const tag d;
    const tag_u du;
    const auto lane = lane_numbers();
    const auto upper = hn::And(lane, hn::Set(du, STEP));
    const auto sign = hn::BitCast(d, hn::ShiftLeft<31>(hn::ShiftRight<hwy::CeilLog2(STEP)>(upper)));
    vec partner;
    if constexpr (STEP == 1) {
        partner = hn::Shuffle2301(v);
    } else if constexpr (STEP == 2) {
        partner = hn::Shuffle1032(v);
    } else {
        partner = hn::TableLookupLanes(v, hn::IndicesFromVec(d, hn::Xor(lane, hn::Set(du, STEP))));
    }
    return hn::Add(partner, hn::Xor(v, sign));
}

inline vec butterflies_inside(vec v, size_t block) {
    const size_t lanes = hn::Lanes(tag());
    if (block > 1) v = butterfly_lanes<1>(v);
    if (block > 2) v = butterfly_lanes<2>(v);
    if (block > 4 && lanes > 4) v = butterfly_lanes<4>(v);
    if (block > 8 && lanes > 8) v = butterfly_lanes<8>(v);
    return v;
}

// RADIX vectors, the stages from STEP on: log2(RADIX) in all.
template <int RADIX, int STEP = 1> inline void butterflies_across(vec (&v)[RADIX]) {
    if constexpr (STEP < RADIX) {
#pragma GCC unroll 4
        for (int pair = 0; pair < RADIX / 2; pair++) {
            const int i = pair / STEP * 2 * STEP + pair % STEP;
            const vec sum = hn::Add(v[i], v[i + STEP]);
            v[i + STEP] = hn::Sub(v[i], v[i + STEP]);
            v[i] = sum;
        }
        butterflies_across<RADIX, 2 * STEP>(v);
    }
}

// The first pass over one block: signs, scale, stages inside vectors and across RADIX neighbouring vectors.
template <int RADIX> void first_pass(float * x, const uint8_t * signs, size_t offset, size_t block, float scale) {
    const tag d;
    const size_t lanes = hn::Lanes(d);
    const auto factor = hn::Set(d, scale);
    for (size_t i = offset; i < offset + block; i += RADIX * lanes) {
        vec v[RADIX];
#pragma GCC unroll 8
        for (int r = 0; r < RADIX; r++) {
            const auto sign = hn::BitCast(d, sign_bits(signs, i + r * lanes));
            v[r] = hn::Xor(hn::Mul(hn::LoadU(d, x + i + r * lanes), factor), sign);
            v[r] = butterflies_inside(v[r], block);
        }
        butterflies_across(v);
#pragma GCC unroll 8
        for (int r = 0; r < RADIX; r++)
            hn::StoreU(v[r], d, x + i + r * lanes);
    }
}

// A later pass: stages across elements h, 2 h, .. RADIX h / 2 apart; h is a multiple of the vector length.
template <int RADIX> void later_pass(float * x, size_t block, size_t h) {
    const tag d;
    for (size_t start = 0; start < block; start += RADIX * h) {
        for (size_t i = start; i < start + h; i += hn::Lanes(d)) {
            vec v[RADIX];
#pragma GCC unroll 8
            for (int r = 0; r < RADIX; r++)
                v[r] = hn::LoadU(d, x + i + r * h);
            butterflies_across(v);
#pragma GCC unroll 8
            for (int r = 0; r < RADIX; r++)
                hn::StoreU(v[r], d, x + i + r * h);
        }
    }
}

void large_block(float * x, const uint8_t * signs, size_t offset, size_t block, float scale) {
    const size_t vectors = block / hn::Lanes(tag());
    if (vectors >= 8)
        first_pass<8>(x, signs, offset, block, scale);
    else if (vectors == 4)
        first_pass<4>(x, signs, offset, block, scale);
    else if (vectors == 2)
        first_pass<2>(x, signs, offset, block, scale);
    else
        first_pass<1>(x, signs, offset, block, scale);
    for (size_t h = 8 * hn::Lanes(tag()); h < block;) {
        const size_t radix = block / h >= 8 ? 8 : block / h;
        if (radix == 8)
            later_pass<8>(x + offset, block, h);
        else if (radix == 4)
            later_pass<4>(x + offset, block, h);
        else
            later_pass<2>(x + offset, block, h);
        h *= radix;
    }
}

// What a row of small blocks leaves behind the last whole vector.
void tail(float * x, const uint8_t * signs, size_t begin, size_t end, size_t block, float scale) {
    for (size_t i = begin; i < end; i++) {
        x[i] *= scale;
        if (signs[i / 8] >> (i % 8) & 1) x[i] = -x[i];
    }
    for (size_t h = 1; h < block; h *= 2) {
        for (size_t i = begin; i < end; i++) {
            if (i & h) continue;
            const float a = x[i], b = x[i + h];
            x[i] = a + b;
            x[i + h] = a - b;
        }
    }
}

void hadamard(float * x, const uint8_t * signs, size_t count, size_t block) {
    const tag d;
    const size_t lanes = hn::Lanes(d);
    const float scale = float(1.0 / std::sqrt(double(block)));
    if (block >= lanes) {
        for (size_t offset = 0; offset < count; offset += block)
            large_block(x, signs, offset, block, scale);
        return;
    }
    size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        const auto sign = hn::BitCast(d, sign_bits(signs, i));
        const auto v = hn::Xor(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, scale)), sign);
        hn::StoreU(butterflies_inside(v, block), d, x + i);
    }
    tail(x, signs, i, count, block, scale);
}

} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rknpu::kernels {

HWY_EXPORT(hadamard);

void hadamard_rows(float * x, const uint8_t * signs, size_t count, size_t block) {
    HWY_DYNAMIC_DISPATCH(hadamard)(x, signs, count, block);
}

} // namespace rknpu::kernels
#endif
