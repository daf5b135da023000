// Maxima of a row, where they are, and the k largest.
#include <limits>

#include "kernels/largest.h"
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_SELECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_SELECT_INL_H_
#undef FUSIBLE_KERNELS_SIMD_SELECT_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_SELECT_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

HWY_INLINE size_t CountOf(Full) { return kStep; }
HWY_INLINE size_t CountOf(Tail at) { return at.count; }

// Calls f(value, index) for the elements of a step, in order.
template <class At, class F>
HWY_INLINE void ForElements(const Pair& v, At at, const F& f) {
  alignas(64) float values[kStep];
  Storage<float>::Store(v, values);
  for (size_t i = 0; i < CountOf(at); ++i) f(values[i], at.i + i);
}

// NaN where the row has one, minus infinity where it is empty.
template <class T>
float RowMax(const T* x, size_t n) {
  const VF lowest = hn::Set(DF(), -std::numeric_limits<float>::infinity());
  VF even = lowest, odd = lowest;
  auto is_nan = hn::IsNaN(lowest);
  float rest = hn::GetLane(lowest);
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    is_nan = hn::Or(is_nan, hn::Or(hn::IsNaN(v.even), hn::IsNaN(v.odd)));
    if (CountOf(at) == kStep) {
      even = hn::Max(even, v.even);
      odd = hn::Max(odd, v.odd);
    } else {
      ForElements(v, at, [&](float value, size_t) { rest = HWY_MAX(rest, value); });
    }
  });
  if (!hn::AllFalse(DF(), is_nan)) return std::numeric_limits<float>::quiet_NaN();
  // Not MaxOfLanes, which begins with the lowest finite number on Highway's EMU128.
  alignas(64) float lanes[kLanes];
  hn::Store(hn::Max(even, odd), DF(), lanes);
  for (const float lane : lanes) rest = HWY_MAX(rest, lane);
  return rest;
}

// The first element equal to `value`, which the row has; a NaN is equal to any.
template <class T>
size_t FirstIndexOf(const T* x, size_t n, float value) {
  const VF wanted = hn::Set(DF(), value);
  const bool nan = value != value;
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Pair v = Load(x, Full{i});
    const auto found = nan ? hn::Or(hn::IsNaN(v.even), hn::IsNaN(v.odd))
                           : hn::Or(hn::Eq(v.even, wanted), hn::Eq(v.odd, wanted));
    if (!hn::AllFalse(DF(), found)) break;
  }
  size_t first = n;
  const size_t count = HWY_MIN(n - i, kStep);
  ForElements(Load(x, Tail{i, count}), Tail{i, count}, [&](float v, size_t index) {
    if (first == n && (nan ? v != v : v == value)) first = index;
  });
  return first;
}

// Leaves the k largest elements of the row in `largest`.
template <class T>
void FindLargest(const T* x, size_t n, size_t k, Largest& largest) {
  largest.Reset(k);
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    const VF bound = hn::Set(DF(), largest.bound());
    const auto refused = hn::And(hn::Le(v.even, bound), hn::Le(v.odd, bound));
    if (hn::AllTrue(DF(), refused)) return;
    ForElements(v, at, [&](float value, size_t index) {
      if (!(value <= largest.bound())) largest.Add(RankOf(value, index));
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
