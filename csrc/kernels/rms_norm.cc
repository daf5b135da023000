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

template <class T>
float SumOfSquares(const T* x, size_t n) {
  return CanonicalSum(n, [=](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    return Mul(v, v);
  });
}

template <Weight kWeight, class T>
void ScaleRow(const T* x, const T* weight, T* out, size_t n, float scale, bool stream) {
  const VF factor = hn::Set(DF(), scale);
  const VF one = hn::Set(DF(), 1.0f);
  ForSteps(n, stream, out, [=](auto at) HWY_ATTR {
    Pair y = Mul(Load(x, at), factor);
    if constexpr (kWeight != Weight::kNone) {
      Pair w = Load(weight, at);
      if constexpr (kWeight == Weight::kOnePlus) w = Sum(w, {one, one});
      y = Mul(y, w);
    }
    Store(y, out, at);
  });
}

template <Weight kWeight, class T>
void NormRows(const RmsNormArgs& a) {
  const T* weight = a.weight.Row<T>(0);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = a.x.Row<T>(r);
    const float mean = SumOfSquares(x, a.cols) / static_cast<float>(a.cols);
    const float scale = 1.0f / std::sqrt(mean + a.eps);
    ScaleRow<kWeight>(x, weight, a.out.Row<T>(r), a.cols, scale, a.out.stream);
  }
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
