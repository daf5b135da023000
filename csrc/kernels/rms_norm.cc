#include "kernels/rms_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

enum class Weight { kNone, kPlain, kOnePlus };

// 1 / the root mean square of a row.
template <class T>
float ScaleOf(const RmsNormArgs& a, int64_t r) {
  const T* x = a.x.Row<T>(r);
  const float squares = CanonicalSum(a.cols, [=](auto at) HWY_ATTR {
    const auto v = Load<Own<T>>(x, at);
    return Mul(v, v);
  });
  return 1.0f / std::sqrt(squares / static_cast<float>(a.cols) + a.eps);
}

template <Weight kWeight, class T>
void ScaleRow(const RmsNormArgs& a, int64_t r, float scale) {
  const T *x = a.x.Row<T>(r), *weight = a.weight.Row<T>(0);
  T* out = a.out.Row<T>(r);
  const VF factor = hn::Set(DF(), scale);
  const VF one = hn::Set(DF(), 1.0f);
  ForSteps(a.cols, WritingRow<T>(a.out, r, x, a.x.Row<T>(r + RowsAhead(a.cols))),
           [=](auto at) HWY_ATTR {
             auto y = Mul(Load<Own<T>>(x, at), factor);
             if constexpr (kWeight != Weight::kNone) {
               auto w = Load<Own<T>>(weight, at);
               if constexpr (kWeight == Weight::kOnePlus) w = Sum(w, one);
               y = Mul(y, w);
             }
             Store(y, out, at);
           });
}

template <Weight kWeight, class T>
void NormRows(const RmsNormArgs& a) {
  const auto scale = [&](int64_t r) HWY_ATTR { return ScaleOf<T>(a, r); };
  ForRows(a.rows, a.cols, scale,
          [&](int64_t r, float of_row) HWY_ATTR { ScaleRow<kWeight, T>(a, r, of_row); });
}

void RmsNormRows(const RmsNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (!a.weight) return NormRows<Weight::kNone, T>(a);
    if (a.one_plus_weight) return NormRows<Weight::kOnePlus, T>(a);
    NormRows<Weight::kPlain, T>(a);
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
