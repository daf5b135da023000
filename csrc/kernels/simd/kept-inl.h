// Rows kept for later in f32, step by step as each was held: neither way needs a shuffle.
// Such a row has room for whole steps: KeptRoom(n) floats, aligned for every vector.
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_KEPT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_KEPT_INL_H_
#undef FUSIBLE_KERNELS_SIMD_KEPT_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_KEPT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

HWY_INLINE constexpr size_t KeptRoom(size_t n) { return (n + kStep - 1) / kStep * kStep; }

// The step that begins at element i.
template <class S>
HWY_INLINE void Keep(const S& v, float* row, size_t i) {
  hn::Store(Front(v), DF(), row + i);
  hn::Store(Back(v), DF(), row + i + kLanes);
}
template <class S>
HWY_INLINE S Kept(const float* row, size_t i) {
  return {hn::Load(DF(), row + i), hn::Load(DF(), row + i + kLanes)};
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
