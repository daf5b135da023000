// What softmax and sampling weigh elements with.
#include "kernels/simd/math-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_WEIGHT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_WEIGHT_INL_H_
#undef FUSIBLE_KERNELS_SIMD_WEIGHT_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_WEIGHT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// e^x for x <= 0, minus infinity included; zero from where it would be below the smallest normal
// number, which is nothing beside the weight 1 that every row has. A NaN stays. Two thirds of the
// instructions of Exp.
HWY_INLINE VF Weight(VF x) {
  const Reduced e = Reduce(x);  // n in [-126, 0]
  return hn::IfThenZeroElse(hn::Lt(x, SetF(-87.33f)), hn::Mul(e.power, PowerOfTwo(e.biased)));
}

template <class S>
HWY_INLINE S Weight(const S& x) {
  return Each([](VF v) HWY_ATTR { return Weight(v); }, x);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
