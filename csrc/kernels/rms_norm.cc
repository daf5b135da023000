#include "kernels/rms_norm.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/factors-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// With a finite sum of squares every element is finite, and so is its product with a finite scale,
// which is at most the root of their number.
bool IsFinite(float scale) { return scale > 0 && scale <= std::numeric_limits<float>::max(); }

// 1 / the root mean square of a row. Where that is not finite, there may be NaNs.
template <class T>
float ScaleOf(const RmsNormArgs& a, int64_t r) {
  const T* x = a.x.Row<T>(r);
  const float squares = CanonicalSum(a.cols, [=](auto at) HWY_ATTR {
    const auto v = Load<Own<T>>(x, at);
    return Mul(v, v);
  });
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(a.cols) + a.eps);
  if (a.x.unsettled && !IsFinite(scale)) SettleNans(a.x.Row<T>(r), a.cols);
  return scale;
}

template <class T>
HWY_INLINE Writing WritingRow(const RmsNormArgs& a, int64_t r) {
  return WritingRow<T>(a.out, r, a.x.Row<T>(r), a.x.Row<T>(r + RowsAhead(a.cols)));
}

// times(y, at): a step of the row by its weights.
template <class T, class Times, class... How>
void ScaleRow(const RmsNormArgs& a, int64_t r, float scale, const Times& times, How... how) {
  const T* x = a.x.Row<T>(r);
  T* out = a.out.Row<T>(r);
  const VF factor = hn::Set(DF(), scale);
  ForSteps(a.cols, WritingRow<T>(a, r), [=](auto at) HWY_ATTR {
    Store(times(Mul(Load<Own<T>>(x, at), factor), at), out, at, how...);
  });
}

template <class T>
void NormRowsAlone(const RmsNormArgs& a) {
  const auto same = [](const Own<T>& y, auto) HWY_ATTR { return y; };
  ForRows(
      a.rows, a.cols, [&](int64_t r) HWY_ATTR { return ScaleOf<T>(a, r); },
      [&](int64_t r, float scale) HWY_ATTR {
        IsFinite(scale) ? ScaleRow<T>(a, r, scale, same, NoNan()) : ScaleRow<T>(a, r, scale, same);
      });
}

template <bool kOnePlus, class T>
void NormRows(const RmsNormArgs& a) {
  const auto weights = [one = hn::Set(DF(), 1.0f), from = a.weight.Row<T>(0)](auto at) HWY_ATTR {
    const auto w = Load<Own<T>>(from, at);
    if constexpr (kOnePlus) return Sum(w, one);
    return w;
  };
  const auto scale_of = [&](int64_t r) HWY_ATTR { return ScaleOf<T>(a, r); };
  const auto write = [&](int64_t r, float scale) HWY_ATTR {
    ScaleRow<T>(a, r, scale,
                [=](const Own<T>& y, auto at) HWY_ATTR { return Mul(y, weights(at)); });
  };
  if (!IsWorthDecoding<T>(a.rows, a.cols)) return ForRows(a.rows, a.cols, scale_of, write);
  static thread_local Scratch scratch;
  const Factors<T> decoded(a.cols, scratch.Floats(RoomOf(a.cols)), weights);
  if (!decoded.finite()) return ForRows(a.rows, a.cols, scale_of, write);
  ForRows(a.rows, a.cols, scale_of, [&](int64_t r, float scale) HWY_ATTR {
    if (!IsFinite(scale) || !BeginsWithStep<T>(a.out, r)) return write(r, scale);
    ScaleRow<T>(
        a, r, scale, [=](const Own<T>& y, auto at) HWY_ATTR { return Mul(y, decoded(at)); },
        NoNan());
  });
}

void RmsNormRows(const RmsNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (!a.weight) return NormRowsAlone<T>(a);
    a.one_plus_weight ? NormRows<true, T>(a) : NormRows<false, T>(a);
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(RmsNormRows);

void RmsNorm(const RmsNormArgs& args) { HWY_DYNAMIC_DISPATCH(RmsNormRows)(args); }

}  // namespace fusible::kernels
#endif
