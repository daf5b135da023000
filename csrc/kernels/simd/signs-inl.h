// Steps of 16-bit floats as magnitudes and signs: a quotient has the sign of its dividend, and
// 8-bit floats take the two apart.
#include "kernels/simd/fp8-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_SIGNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_SIGNS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_SIGNS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_SIGNS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// A step as it is stored: elements of even index in the lower halves of lanes.
template <class T>
HWY_INLINE VU LoadBits(const T* row, Tail at) {
  alignas(64) T buffer[kStep] = {};
  std::memcpy(buffer, row + at.i, at.count * sizeof(T));
  return LoadBytes(DU(), buffer);
}
template <class T, class At>
HWY_INLINE VU LoadBits(const T* row, At at) {
  static_assert(sizeof(T) == 2);
  return LoadBytes(DU(), row + at.i);
}

template <class T, class At>
HWY_INLINE Pair Magnitudes(const T* row, At at) {
  return Each([](VF v) HWY_ATTR { return hn::Abs(v); }, Load(row, at));
}
template <class At>
HWY_INLINE Pair Magnitudes(const BF16* row, At at) {
  const VU both = LoadBits(row, at);
  return {hn::Abs(FromBits(hn::ShiftLeft<16>(both))), FromBits(hn::And(both, SetBits(0x7FFF0000)))};
}

template <class T, class At>
HWY_INLINE Signs SignsOf(const T* row, At at) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return {_mm512_movepi16_mask(LoadBits(row, at).raw)};
#else
  return {LoadBits(row, at)};
#endif
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
