#include "kernels/layer_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

struct Moments {
  float mean, scale;  // scale: 1 / standard deviation
};

template <class T>
Moments MomentsOf(const LayerNormArgs& a, int64_t r) {
  const T* x = a.x.Row<T>(r);
  const auto count = static_cast<float>(a.cols);
  const auto load = [=](auto at) HWY_ATTR { return Load<Own<T>>(x, at); };
  const float mean = CanonicalSum(a.cols, load) / count;
  const VF center = hn::Set(DF(), mean);
  const float squares = CanonicalSum(a.cols, [=](auto at) HWY_ATTR {
    const auto d = Sub(load(at), center);
    return Mul(d, d);
  });
  return {mean, 1.0f / std::sqrt(squares / count + a.eps)};
}

template <bool kWeight, bool kBias, class T>
void NormRow(const LayerNormArgs& a, int64_t r, const Moments& moments) {
  const T *x = a.x.Row<T>(r), *weight = a.weight.Row<T>(0), *bias = a.bias.Row<T>(0);
  T* out = a.out.Row<T>(r);
  const VF mean = hn::Set(DF(), moments.mean), scale = hn::Set(DF(), moments.scale);
  ForSteps(a.cols, WritingRow<T>(a.out, r, x, a.x.Row<T>(r + RowsAhead(a.cols))),
           [=](auto at) HWY_ATTR {
             auto y = Mul(Sub(Load<Own<T>>(x, at), mean), scale);
             if constexpr (kWeight && kBias) {
               y = MulAdd(y, Load<Own<T>>(weight, at), Load<Own<T>>(bias, at));
             } else if constexpr (kWeight) {
               y = Mul(y, Load<Own<T>>(weight, at));
             } else if constexpr (kBias) {
               y = Sum(y, Load<Own<T>>(bias, at));
             }
             Store(y, out, at);
           });
}

template <bool kWeight, bool kBias, class T>
void NormRows(const LayerNormArgs& a) {
  const auto moments = [&](int64_t r) HWY_ATTR { return MomentsOf<T>(a, r); };
  ForRows(a.rows, a.cols, moments, [&](int64_t r, const Moments& of_row) HWY_ATTR {
    NormRow<kWeight, kBias, T>(a, r, of_row);
  });
}

void LayerNormRows(const LayerNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (a.weight) return a.bias ? NormRows<true, true, T>(a) : NormRows<true, false, T>(a);
    return a.bias ? NormRows<false, true, T>(a) : NormRows<false, false, T>(a);
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(LayerNormRows);

void LayerNorm(const LayerNormArgs& args) { HWY_DYNAMIC_DISPATCH(LayerNormRows)(args); }

}  // namespace fusible::kernels
#endif
