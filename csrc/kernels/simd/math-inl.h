// exp, tanh and the gates made of them, in f32: polynomials in fma. Within so many units in the
// last place of the exact value, on instruction sets with FMA (tests/kernels/test_math.py):
//
//   exp, 1 / (1 + e^-x)   6, and 3 for |x| <= 20
//   tanh                  2
//   silu                  7, and 5 for |x| <= 20
//   swish                 7 + alpha |x| for x < 0, whose exponent is rounded; 7 for x >= 0
//   gelu_tanh             4 + 2.5 |u| for x < 0, where its gate is 1 / (1 + e^-u); 4 for x >= 0
//   gelu (erf)            10
//
// Where e^x is no normal f32 (x < -87.33) it is 0. Results of the gates below 2^-120 may be -0, of
// swish, x / (1 + e^-alpha x), those below 2^-120 / min(alpha, 1); its x below -3e38 counts as
// that.
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_MATH_INL_H_
#undef FUSIBLE_KERNELS_SIMD_MATH_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_MATH_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

HWY_INLINE VF SetF(float value) { return hn::Set(DF(), value); }

// c + a b, or c - a b.
template <bool kMinus>
HWY_INLINE VF Plus(VF a, VF b, VF c) {
  return kMinus ? hn::NegMulAdd(a, b, c) : hn::MulAdd(a, b, c);
}

// e^x = 2^n e^r with |r| <= ln(2)/2, for |x| up to 105.
struct Reduced {
  VF power;   // e^r
  VU biased;  // n + 127 in the low bits; what stands above them has to be shifted out
};

// Of x, or of -x. One fma takes n ln(2) away: ln(2) is 1.9e-9 off as a float, which is n/60 units
// in the last place of the result. The polynomial was fitted for least relative error (9.2e-8). One
// of degree 6, and ln(2) in two parts, were almost exact, and silu took 1.2 times as long.
template <bool kMinus = false>
HWY_INLINE Reduced Reduce(VF x) {
  const VF magic = SetF(12583039.0f);  // 1.5 * 2^23 + 127: adding it rounds to an integer
  const VF shifted = Plus<kMinus>(x, SetF(1.44269502f), magic);
  const VF n = hn::Sub(shifted, magic);
#if HWY_NATIVE_FMA
  const VF r = Plus<!kMinus>(n, SetF(0.693147182f), x);
#else  // a part that is short enough for exact products with n, and the rest
  const VF r = Plus<!kMinus>(n, SetF(-2.12194442e-4f), Plus<!kMinus>(n, SetF(0.693359375f), x));
#endif
  VF p = Plus<kMinus>(SetF(0.00828936044f), r, SetF(0.0418981761f));  // r is -r for -x
  p = Plus<kMinus>(p, r, SetF(0.166676521f));
  p = Plus<kMinus>(p, r, SetF(0.499991477f));
  p = Plus<kMinus>(p, r, SetF(0.999999702f));
  return {Plus<kMinus>(p, r, SetF(1.0f)), ToBits(shifted)};
}

// 2^n for n in [-127, 128], where these are 0 and infinity.
HWY_INLINE VF PowerOfTwo(VU biased) { return FromBits(hn::ShiftLeft<23>(biased)); }

// x within a bound; a NaN stays. Where x86 cannot compare, it gives the second operand; others give
// the number.
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
HWY_INLINE VF AtLeast(VF x, float bound) { return hn::Max(SetF(bound), x); }
HWY_INLINE VF AtMost(VF x, float bound) { return hn::Min(SetF(bound), x); }
#else
HWY_INLINE VF AtLeast(VF x, float bound) {
  return hn::IfThenElse(hn::Lt(x, SetF(bound)), SetF(bound), x);
}
HWY_INLINE VF AtMost(VF x, float bound) {
  return hn::IfThenElse(hn::Gt(x, SetF(bound)), SetF(bound), x);
}
#endif

// 2^n is applied in two halves, so that results down to the smallest subnormal are right.
HWY_INLINE VF Exp(VF x) {
  const Reduced e = Reduce(AtLeast(AtMost(x, 89.0f), -105.0f));
  const hn::Vec<DI> n = hn::Sub(hn::BitCast(DI(), e.biased), hn::Set(DI(), 0x4B40007F));
  const VU half = hn::BitCast(DU(), hn::ShiftRight<1>(n));
  const VU first = hn::Add(half, SetBits(127));
  const VU second = hn::Sub(e.biased, half);
  return hn::Mul(hn::Mul(e.power, PowerOfTwo(first)), PowerOfTwo(second));
}

// 1 + e^-x for x >= -89. Above 87 it is 1 anyway; below -127.5 ln(2) it is infinite.
HWY_INLINE VF OnePlusExpOfMinus(VF x) {
  const Reduced e = Reduce<true>(AtMost(x, 87.0f));
  return hn::MulAdd(e.power, PowerOfTwo(e.biased), SetF(1.0f));
}

// Near zero an odd polynomial (relative error 4.8e-9 up to 0.63), else 1 - 2 / (e^2|x| + 1).
HWY_INLINE VF Tanh(VF x) {
  const VF a = hn::Abs(x);
  const VF square = hn::Mul(x, x);
  VF p = hn::MulAdd(SetF(-0.0056669004f), square, SetF(0.0206061099f));
  p = hn::MulAdd(p, square, SetF(-0.0537299886f));
  p = hn::MulAdd(p, square, SetF(0.133313313f));
  p = hn::MulAdd(p, square, SetF(-0.333332777f));
  const VF near = hn::MulAdd(hn::Mul(p, square), x, x);
  const VF one = SetF(1.0f);
  const VF far = hn::Sub(one, hn::Div(SetF(2.0f), hn::Add(Exp(hn::Add(a, a)), one)));
  return hn::IfThenElse(hn::Lt(a, SetF(0.625f)), near, hn::CopySign(far, x));
}

// x / (1 + e^-u) for u >= -89 and x above minus infinity.
HWY_INLINE VF Gate(VF x, VF u) { return hn::Div(x, OnePlusExpOfMinus(u)); }

// At the lower bounds of x, in these three, the result is -0 already.
HWY_INLINE VF Silu(VF x) {
  x = AtLeast(x, -89.0f);
  return Gate(x, x);
}

// x / (1 + e^-alpha x) for alpha >= 0.
HWY_INLINE VF Swish(VF x, float alpha) {
  x = AtLeast(x, -3e38f);
  return Gate(x, AtLeast(hn::Mul(x, SetF(alpha)), -89.0f));
}

// x/2 * (1 + tanh(u/2)) = x / (1 + e^-u), u = sqrt(8/pi) * (x + 0.044715 x^3).
HWY_INLINE VF GeluTanh(VF x) {
  x = AtLeast(x, -10.05f);
  const VF slope = hn::MulAdd(hn::Mul(x, x), SetF(0.0713548163f), SetF(1.59576912f));
  return Gate(x, hn::Mul(x, slope));
}

// erfc(a / sqrt(2)) / 2 for a in [0, 13.25]: the normal distribution's share below -a. It is
// e^(-a^2/2) times a polynomial in t = 1 / (1 + a/4.75), fitted for least relative error (1.5e-08).
HWY_INLINE VF NormalTail(VF a) {
  const VF one = SetF(1.0f);
  const VF t = hn::Div(one, hn::MulAdd(a, SetF(0.210526317f), one));
  VF p = hn::MulAdd(SetF(-0.0704311728f), t, SetF(0.275636047f));
  p = hn::MulAdd(p, t, SetF(-0.316177338f));
  p = hn::MulAdd(p, t, SetF(0.335538447f));
  p = hn::MulAdd(p, t, SetF(-0.0857503712f));
  p = hn::MulAdd(p, t, SetF(0.122024074f));
  p = hn::MulAdd(p, t, SetF(0.0700380653f));
  p = hn::MulAdd(p, t, SetF(0.0851963237f));
  p = hn::MulAdd(p, t, SetF(0.0839259177f));
  p = hn::Mul(p, t);
  const VF square = hn::Mul(a, a);
  const VF rest = hn::MulSub(a, a, square);  // what the product lost: it weighs 2^-24 * a^2 / 2
  const Reduced e = Reduce(hn::Mul(square, SetF(-0.5f)));
  const VF tail = hn::Mul(hn::Mul(p, e.power), PowerOfTwo(e.biased));
  return hn::NegMulAdd(hn::Mul(rest, SetF(0.5f)), tail, tail);
}

// x/2 * (1 + erf(x / sqrt(2))), without the cancellation below zero.
HWY_INLINE VF Gelu(VF x) {
  x = AtLeast(x, -13.25f);
  const VF tail = NormalTail(AtMost(hn::Abs(x), 13.25f));
  const VF share = hn::IfThenElse(hn::Lt(x, SetF(0.0f)), tail, hn::Sub(SetF(1.0f), tail));
  return hn::Mul(x, share);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
