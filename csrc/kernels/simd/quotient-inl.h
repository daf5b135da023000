// x / scale for a code, without a division for each element.
#include <type_traits>

#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_QUOTIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_QUOTIENT_INL_H_
#undef FUSIBLE_KERNELS_SIMD_QUOTIENT_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_QUOTIENT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2)
inline constexpr bool kHasFma = false;
#else
inline constexpr bool kHasFma = true;
#endif

// Gives the code, of an 8-bit float or int8, that the correctly rounded quotient gives. For x of 8
// or 11 bits (bf16, f16) it takes one multiplication and one fma: with the reciprocal, and with
// what rounding the reciprocal lost (as Brisebarre and Muller multiply by constants, 2008, IEEE
// Trans. Computers 57(2)). Of a negative zero it may be a positive one.
// Why the codes are the same, with Q = x / scale and u = 2^-24:
//
// The reciprocal is R = (1 + e) / scale, |e| <= u, and fma(-scale, R, 1) is -e, exactly: its digits
// fit. The rest is -e R, rounded, so R + rest is off by 2 u^2 relatively; x * rest is rounded,
// which is u^2 of Q. So what the fma rounds is Q + d, |d| <= 3 u^2 Q, and Q < 2^24 ulp: |d| < 3u
// ulp. A code tells round(Q) from round(Q + d) only if a midpoint of two floats, m + ulp/2 or m -
// ulp/2, lies between them, where m is a boundary of codes, of at most 9 bits. In integers, with
// the scale's 24 bits S, the k bits X of x, and m = M * 2^16, 2^8 <= M <= 2^9:
//     X * 2^j = S * (M * 2^16 +- 1) + N,  |N| <= 12,  j >= 48 - k >= 37.
// Modulo 2^16, S = K * 2^16 + t with t = -+N and 2^7 <= K <= 2^8. Put in, divided by 2^16, and
// modulo 2^16 again, t * M +- K = 0: an equation, as both terms are small. M >= 2^8 leaves one
// solution, t = -1 and K = M = 2^8: x a power of two by a scale of all ones, which MayMultiply
// excludes. tests/kernels/test_quotient.py has it, and all bf16 with all scales that their maxima
// have.
//
// Where MayMultiply(scale) and |Q| <= 2^17, nothing overflows, and nothing underflows unless |Q| <
// 2^-18, whose code is 0 in any case.
HWY_INLINE hn::Mask<DF> MayMultiply(VF scale) {
  const auto low = hn::Ge(scale, hn::Set(DF(), 0x1p-60f));
  const auto high = hn::Le(scale, hn::Set(DF(), 0x1p100f));  // and no NaN
  const VU ones = SetBits(0x7FFFFF);
  const auto other = hn::RebindMask(DF(), hn::Ne(hn::And(ToBits(scale), ones), ones));
  return hn::And(hn::And(low, high), other);
}

// 1 / scale, rounded, and what that rounding lost.
struct Reciprocal {
  VF rounded, rest;
};
HWY_INLINE Reciprocal ReciprocalOf(VF scale) {
  const VF one = hn::Set(DF(), 1.0f);
  const VF rounded = hn::Div(one, scale);
  return {rounded, hn::Mul(hn::NegMulAdd(scale, rounded, one), rounded)};
}

template <class T>
struct Quotient {
  static constexpr bool kDivides = !kHasFma || std::is_same_v<T, float>;

  VF scale;
  Reciprocal reciprocal;

  HWY_INLINE VF operator()(VF x) const {
    if constexpr (kDivides) return hn::Div(x, scale);
    return hn::MulAdd(x, reciprocal.rounded, hn::Mul(x, reciprocal.rest));
  }
  HWY_INLINE Pair operator()(const Pair& x) const { return {(*this)(x.even), (*this)(x.odd)}; }
};

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
