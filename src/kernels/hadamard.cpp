// The randomised Walsh-Hadamard rotation of activation rows.
//
// Invariant: one read and write of the block per pass: signs, scale, the butterflies inside a vector and up to four
// stages across vectors happen in registers in the first, up to four more stages in each later one. The order of
// additions depends on the vector length only inside a stage's schedule, not in its operands, so every instruction set
// gives the same bits.
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
    const auto to_top = hn::Sub(hn::Set(du, 31), lane_numbers());
    if constexpr (hn::MaxLanes(du) == 8) { // a byte goes to all lanes in one instruction
        const auto bytes = hn::BitCast(du, hn::Set(hn::Repartition<uint8_t, tag_u>(), signs[i / 8]));
        return hn::And(hn::Shl(bytes, to_top), hn::Set(du, 0x80000000u));
    }
    uint32_t bits = signs[i / 8];
    if (hn::Lanes(du) < 8) bits >>= i % 8;
    if (hn::Lanes(du) > 8) bits |= uint32_t(signs[i / 8 + 1]) << 8;
    return hn::And(hn::Shl(hn::Set(du, bits), to_top), hn::Set(du, 0x80000000u));
}

// Partner of lane i is lane i ^ STEP: the sum goes to the lower lane, the difference to the upper. A product with 1 or
// -1 is exact, so a fused multiply-add is just an addition that can flip signs.
template <int STEP> HWY_INLINE vec butterfly_lanes(vec v) {
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
    if constexpr (HWY_NATIVE_FMA) return hn::MulAdd(v, hn::Xor(hn::Set(d, 1.0f), sign), partner);
    return hn::Add(partner, hn::Xor(v, sign));
}

HWY_INLINE vec butterflies_inside(vec v, size_t block) {
    const size_t lanes = hn::Lanes(tag());
    if (block > 1) v = butterfly_lanes<1>(v);
    if (block > 2) v = butterfly_lanes<2>(v);
    if (block > 4 && lanes > 4) v = butterfly_lanes<4>(v);
    if (block > 8 && lanes > 8) v = butterfly_lanes<8>(v);
    return v;
}

// RADIX vectors, the stages from STEP on: log2(RADIX) in all.
template <int RADIX, int STEP = 1> HWY_INLINE void butterflies_across(vec (&v)[RADIX]) {
    if constexpr (STEP < RADIX) {
#pragma GCC unroll 8
        for (int pair = 0; pair < RADIX / 2; pair++) {
            const int i = pair / STEP * 2 * STEP + pair % STEP;
            const vec sum = hn::Add(v[i], v[i + STEP]);
            v[i + STEP] = hn::Sub(v[i], v[i + STEP]);
            v[i] = sum;
        }
        butterflies_across<RADIX, 2 * STEP>(v);
    }
}

// Multiplies vectors by the scale and the signs. For vectors of four the 16 possible factors are kept: one load and one
// product then take the place of spreading bits over lanes.
class signed_scale {
public:
    signed_scale(const uint8_t * signs, float scale) : signs(signs), scale(hn::Set(tag(), scale)) {
        if constexpr (!four_lanes) return;
        for (uint8_t bits = 0; bits < 16; bits++) {
            const auto sign = hn::BitCast(tag(), sign_bits(&bits, 0));
            hn::Store(hn::Xor(this->scale, sign), tag(), factors + 4 * bits);
        }
    }
    // Vector r of RADIX that start at element i, a multiple of RADIX vectors.
    template <int RADIX> HWY_INLINE vec times(vec v, size_t i, size_t r) const {
        const tag d;
        if constexpr (four_lanes) {
            const size_t upper = RADIX == 1 ? i / 4 % 2 : r % 2; // nibble
            const size_t bits = signs[i / 8 + r / 2] >> 4 * upper & 15;
            return hn::Mul(v, hn::Load(d, factors + 4 * bits));
        } else {
            const auto sign = hn::BitCast(d, sign_bits(signs + i / 8, r * hn::Lanes(d))); // i is a multiple of 8
            return hn::Xor(hn::Mul(v, scale), sign);
        }
    }

private:
    static constexpr bool four_lanes = hn::MaxLanes(tag()) == 4;
    const uint8_t * signs;
    vec scale;
    HWY_ALIGN float factors[four_lanes ? 64 : 4];
};

// The first pass over one block: signs, scale, stages inside vectors and across RADIX neighbouring vectors.
template <int RADIX> void first_pass(float * x, const signed_scale & signs, size_t offset, size_t block) {
    const tag d;
    const size_t lanes = hn::Lanes(d);
    for (size_t i = offset; i < offset + block; i += RADIX * lanes) {
        vec v[RADIX];
#pragma GCC unroll 16
        for (int r = 0; r < RADIX; r++) {
            v[r] = signs.times<RADIX>(hn::LoadU(d, x + i + r * lanes), i, r);
            v[r] = butterflies_inside(v[r], hn::MaxLanes(d));
        }
        butterflies_across(v);
#pragma GCC unroll 16
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
#pragma GCC unroll 16
            for (int r = 0; r < RADIX; r++)
                v[r] = hn::LoadU(d, x + i + r * h);
            butterflies_across(v);
#pragma GCC unroll 16
            for (int r = 0; r < RADIX; r++)
                hn::StoreU(v[r], d, x + i + r * h);
        }
    }
}

// Vectors that stay in registers through one pass: half of the registers, the others hold factors and sums. Where a
// pass of 16 does not end the transform, two of 8 do as much with less pressure.
constexpr size_t max_radix = HWY_TARGET == HWY_NEON ? 16 : 8;

// Both return the number of vectors that were combined.
size_t run_first_pass(float * x, const signed_scale & signs, size_t offset, size_t block) {
    const size_t vectors = block / hn::Lanes(tag());
    if (vectors >= 16 && max_radix == 16) return first_pass<16>(x, signs, offset, block), 16;
    if (vectors >= 8) return first_pass<8>(x, signs, offset, block), 8;
    if (vectors == 4) return first_pass<4>(x, signs, offset, block), 4;
    if (vectors == 2) return first_pass<2>(x, signs, offset, block), 2;
    return first_pass<1>(x, signs, offset, block), 1;
}

size_t run_later_pass(float * x, size_t block, size_t h) {
    const size_t left = block / h;
    if (left == 16 && max_radix == 16) return later_pass<16>(x, block, h), 16;
    if (left >= 8) return later_pass<8>(x, block, h), 8;
    if (left == 4) return later_pass<4>(x, block, h), 4;
    return later_pass<2>(x, block, h), 2;
}

void large_block(float * x, const signed_scale & signs, size_t offset, size_t block) {
    size_t h = hn::Lanes(tag()) * run_first_pass(x, signs, offset, block);
    while (h < block)
        h *= run_later_pass(x + offset, block, h);
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
        const signed_scale factors(signs, scale);
        for (size_t offset = 0; offset < count; offset += block)
            large_block(x, factors, offset, block);
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
