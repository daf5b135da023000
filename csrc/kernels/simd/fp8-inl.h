// The two 8-bit float formats: 4 bits of exponent, 3 of mantissa, no infinity. Stores round to
// nearest even and saturate. e4m3fn: OCP 8-bit floating point specification, revision 1.0.
// e4m3fnuz: bias 8, one NaN (0x80), no negative zero; as in ONNX and on AMD's CDNA3.
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_FP8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#undef FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_FP8_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// kRebias: what to add to a code's exponent to get that of an f32. Codes in the low byte of a lane.
template <uint32_t kRebias>
HWY_INLINE VF DecodeMagnitude(VU magnitude) {
  const VU shifted = hn::ShiftLeft<20>(magnitude);
  const VF normal = FromBits(hn::Add(shifted, SetBits(kRebias << 23)));
  const VF smallest = FromBits(SetBits((kRebias + 1) << 23));
  const VF tiny = FromBits(hn::Add(shifted, SetBits((kRebias + 1) << 23)));
  return hn::IfThenElse(hn::Lt(normal, smallest), hn::Sub(tiny, smallest), normal);
}

template <uint32_t kRebias>
HWY_INLINE VU EncodeMagnitude(VF a, float max) {
  a = hn::Min(a, hn::Set(DF(), max));
  const VU bits = ToBits(a);
  const VU last = hn::And(hn::ShiftRight<20>(bits), SetBits(1));
  const VU rounded = hn::Add(hn::Add(bits, SetBits(0x7FFFF)), last);
  const VU normal = hn::Sub(hn::ShiftRight<20>(rounded), SetBits(kRebias << 3));
  // The sum's last place is the smallest subnormal (2^(kRebias - 129)), so the addition rounds to
  // it.
  const VF magic = FromBits(SetBits((kRebias + 21) << 23));
  const VU subnormal = hn::Sub(ToBits(hn::Add(a, magic)), ToBits(magic));
  const VF smallest = FromBits(SetBits((kRebias + 1) << 23));
  return ToBits(hn::IfThenElse(hn::Lt(a, smallest), FromBits(subnormal), FromBits(normal)));
}

// Decode: the value of a code. Encode: the code of v clamped to +-max (which is at most kMax).
template <class T>
struct Code8;

template <>
struct Code8<E4M3FN> {
  static constexpr float kMax = 448.0f;
  static HWY_INLINE VF Decode(VU code) {
    const VU magnitude = hn::And(code, SetBits(0x7F));
    const VU sign = hn::ShiftLeft<24>(hn::And(code, SetBits(0x80)));
    const VF value = FromBits(hn::Or(ToBits(DecodeMagnitude<120>(magnitude)), sign));
    const auto is_nan = hn::RebindMask(DF(), hn::Eq(magnitude, SetBits(0x7F)));
    return hn::IfThenElse(is_nan, FromBits(SetBits(0x7FC00000)), value);
  }
  static HWY_INLINE VU Encode(VF v, float max) {
    const VU sign = hn::And(hn::ShiftRight<24>(ToBits(v)), SetBits(0x80));
    const VU code = hn::Or(EncodeMagnitude<120>(hn::Abs(v), max), sign);
    return ToBits(hn::IfThenElse(hn::IsNaN(v), FromBits(SetBits(0x7F)), FromBits(code)));
  }
};

template <>
struct Code8<E4M3FNUZ> {
  static constexpr float kMax = 240.0f;
  static HWY_INLINE VF Decode(VU code) {
    const VU sign = hn::ShiftLeft<24>(hn::And(code, SetBits(0x80)));
    const VU magnitude = ToBits(DecodeMagnitude<119>(hn::And(code, SetBits(0x7F))));
    const auto is_nan = hn::RebindMask(DF(), hn::Eq(code, SetBits(0x80)));
    return hn::IfThenElse(is_nan, FromBits(SetBits(0x7FC00000)), FromBits(hn::Or(magnitude, sign)));
  }
  static HWY_INLINE VU Encode(VF v, float max) {
    const VU magnitude = EncodeMagnitude<119>(hn::Abs(v), max);
    const VU sign = hn::And(hn::ShiftRight<24>(ToBits(v)), SetBits(0x80));
    const auto is_zero = hn::RebindMask(DF(), hn::Eq(magnitude, SetBits(0)));
    const VF code = hn::IfThenZeroElse(is_zero, FromBits(hn::Or(magnitude, sign)));
    return ToBits(hn::IfThenElse(hn::IsNaN(v), FromBits(SetBits(0x80)), code));
  }
};

template <class T>
struct Storage8 {
  static HWY_INLINE Pair Load(const T* p) {
    const VU both = hn::PromoteTo(DU(), LoadBytes(D16(), p));
    return {Code8<T>::Decode(hn::And(both, SetBits(0xFF))),
            Code8<T>::Decode(hn::ShiftRight<8>(both))};
  }
  static HWY_INLINE void Store(const Pair& v, T* p, float max = Code8<T>::kMax) {
    const VU odd = hn::ShiftLeft<8>(Code8<T>::Encode(v.odd, max));
    const VU both = hn::Or(Code8<T>::Encode(v.even, max), odd);
    StoreBytes(hn::DemoteTo(D16(), hn::BitCast(DI(), both)), D16(), p);
  }
};

template <>
struct Storage<E4M3FN> : Storage8<E4M3FN> {};
template <>
struct Storage<E4M3FNUZ> : Storage8<E4M3FNUZ> {};

// Calls f(T{}) with the storage type of an 8-bit float dtype.
template <class F>
HWY_INLINE void VisitFp8(DType dtype, const F& f) {
  if (dtype == DType::kE4M3FN) return f(E4M3FN{});
  return f(E4M3FNUZ{});
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
