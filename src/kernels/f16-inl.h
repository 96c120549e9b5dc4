// f16 <-> f32 for vectors, with infinities, NaN, subnormals and ties to even on every instruction set.
//
// Invariant: promotion is exact; demotion rounds once, to nearest even. Highway's own conversion is used where it is
// one instruction; its emulation elsewhere (SSE4 and below) has no infinities and is replaced.

#if defined(RKNPU_KERNELS_F16_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef RKNPU_KERNELS_F16_INL_H
#undef RKNPU_KERNELS_F16_INL_H
#else
#define RKNPU_KERNELS_F16_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace rknpu::kernels {
namespace HWY_NAMESPACE {
namespace f16 {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_EMU128

// As many f16 at p as d has lanes.
template <class D> hn::Vec<D> load(D d, const uint16_t * p) {
    const hn::RebindToUnsigned<D> du;
    const auto bits = hn::PromoteTo(du, hn::LoadU(hn::Rebind<uint16_t, D>(), p));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000)));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x7fff)));
    // The exponent biases differ by 112; the multiplication also normalises subnormals.
    const auto value = hn::BitCast(du, hn::Mul(hn::BitCast(d, magnitude), hn::Set(d, 0x1p112f)));
    const auto special = hn::Or(magnitude, hn::Set(du, 0x7f800000));
    const hn::RebindToSigned<D> di;
    const auto is_special = hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, (0x7c00 << 13) - 1));
    return hn::BitCast(d, hn::Or(sign, hn::IfThenElse(hn::RebindMask(du, is_special), special, value)));
}

template <class D> void store(hn::Vec<D> v, D d, uint16_t * p) {
    const hn::RebindToSigned<D> di;
    const auto bits = hn::BitCast(di, v);
    const auto magnitude = hn::And(bits, hn::Set(di, 0x7fffffff));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0x8000));
    // Normal numbers: move the exponent bias from 127 to 15 and round the 13 lost bits to nearest even.
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
    const auto normal = hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(di, (112 << 23) - 0xfff)), odd));
    // Subnormal results: adding 0.5 leaves the result, rounded by the addition, in the low mantissa bits.
    const auto shifted = hn::Add(hn::BitCast(d, magnitude), hn::Set(d, 0.5f));
    const auto subnormal = hn::Sub(hn::BitCast(di, shifted), hn::Set(di, 126 << 23));
    const auto infinite = hn::Set(di, 0x7c00);
    const auto not_a_number = hn::Set(di, 0x7e00);
    auto code = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 113 << 23)), subnormal, normal);
    code = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 143 << 23)), code, infinite);
    code = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7f800000)), not_a_number, code);
    const hn::Rebind<uint16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, hn::Or(code, sign)), d16, p);
}

#else

template <class D> hn::Vec<D> load(D d, const uint16_t * p) {
    const hn::Rebind<hwy::float16_t, D> d16;
    return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t *>(p)));
}

template <class D> void store(hn::Vec<D> v, D, uint16_t * p) {
    const hn::Rebind<hwy::float16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, v), d16, reinterpret_cast<hwy::float16_t *>(p));
}

#endif

} // namespace f16
} // namespace HWY_NAMESPACE
} // namespace rknpu::kernels
HWY_AFTER_NAMESPACE();

#endif
