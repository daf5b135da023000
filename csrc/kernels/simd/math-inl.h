// exp, tanh and the gates made of them, in f32: polynomials in fma, within 2 units in the last
// place.
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

// 2^n for n in [-126, 127].
HWY_INLINE VF PowerOfTwo(hn::Vec<DI> n) {
  return hn::BitCast(DF(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(DI(), 127))));
}

// x = n ln(2) + r with |r| <= ln(2)/2.
struct Reduced {
  VF power;  // e^r; the polynomial was fitted for least relative error: 3.5e-9 over that range
  VF n;      // n + 1.5 * 2^23, so that n stands in the low bits
};

HWY_INLINE Reduced Reduce(VF x) {
  const VF magic = SetF(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const VF shifted = hn::MulAdd(x, SetF(1.44269502f), magic);
  const VF n = hn::Sub(shifted, magic);
  // ln(2) as a part short enough for exact products with n, and the rest.
  VF r = hn::NegMulAdd(n, SetF(0.693359375f), x);
  r = hn::NegMulAdd(n, SetF(-2.12194442e-4f), r);
  VF q = hn::MulAdd(SetF(0.00138116616f), r, SetF(0.00837013498f));
  q = hn::MulAdd(q, r, SetF(0.0416685268f));
  q = hn::MulAdd(q, r, SetF(0.166665092f));
  q = hn::MulAdd(q, r, SetF(0.49999994f));
  return {hn::Add(hn::MulAdd(hn::Mul(r, r), q, r), SetF(1.0f)), shifted};
}

// 2^n is applied in two halves, so that results down to the smallest subnormal are right.
HWY_INLINE VF Exp(VF x) {
  const Reduced e = Reduce(hn::Max(hn::Min(x, SetF(89.0f)), SetF(-105.0f)));
  const hn::Vec<DI> n = hn::Sub(hn::BitCast(DI(), e.n), hn::Set(DI(), 0x4B400000));
  const hn::Vec<DI> half = hn::ShiftRight<1>(n);
  const VF result = hn::Mul(hn::Mul(e.power, PowerOfTwo(half)), PowerOfTwo(hn::Sub(n, half)));
  return hn::IfThenElse(hn::IsNaN(x), x, result);  // minimum and maximum may have dropped a NaN
}

// 1 + e^x for x that is no NaN. Cheaper than Exp: below -87 the sum is 1 anyway, and from 2^127.5
// on it is infinite.
HWY_INLINE VF OnePlusExp(VF x) {
  const Reduced e = Reduce(hn::Max(hn::Min(x, SetF(88.7f)), SetF(-87.0f)));
  // 2^n for n in [-126, 128]; the last is infinity. What stands above n's low bits is shifted out.
  const VU power = hn::Add(hn::ShiftLeft<23>(ToBits(e.n)), SetBits(127u << 23));
  return hn::Add(hn::Mul(e.power, FromBits(power)), SetF(1.0f));
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

// x / (1 + e^-u). A NaN comes through the dividend. Below -200 it is -0 to the last bit, and at
// minus infinity the quotient would be NaN.
HWY_INLINE VF Gate(VF x, VF u) {
  const VF y = hn::Div(x, OnePlusExp(hn::Neg(u)));
  return hn::IfThenElse(hn::Lt(x, SetF(-200.0f)), SetF(-0.0f), y);
}

HWY_INLINE VF Silu(VF x) { return Gate(x, x); }

// x/2 * (1 + tanh(v)) = x / (1 + e^-2v), v = sqrt(2/pi) * (x + 0.044715 x^3).
HWY_INLINE VF GeluTanh(VF x) {
  const VF cubic = hn::MulAdd(hn::Mul(SetF(0.044715f), x), hn::Mul(x, x), x);
  return Gate(x, hn::Mul(SetF(1.59576912f), cubic));
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
