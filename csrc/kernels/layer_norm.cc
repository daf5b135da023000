#include "kernels/layer_norm.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/factors-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

struct Moments {
  float mean, scale;  // scale: 1 / standard deviation
};

// With finite moments every element is finite, and so is a normed one: at most the root of their
// number.
bool IsFinite(const Moments& of_row) {
  return of_row.scale > 0 && of_row.scale <= std::numeric_limits<float>::max();
}

// Where these are not finite, there may be NaNs.
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
  const Moments moments = {mean, 1.0f / std::sqrt(squares / count + a.eps)};
  if (a.x.unsettled && !IsFinite(moments)) SettleNans(a.x.Row<T>(r), a.cols);
  return moments;
}

template <class T>
HWY_INLINE Writing WritingRow(const LayerNormArgs& a, int64_t r) {
  return WritingRow<T>(a.out, r, a.x.Row<T>(r), a.x.Row<T>(r + RowsAhead(a.cols)));
}

// Nothing to multiply by or to add.
struct None {};

template <class T, class Weights, class Biases, class... How>
void NormRow(const LayerNormArgs& a, int64_t r, const Moments& moments, const Weights& weights,
             const Biases& biases, How... how) {
  constexpr bool kWeight = !std::is_same_v<Weights, None>, kBias = !std::is_same_v<Biases, None>;
  const T* x = a.x.Row<T>(r);
  T* out = a.out.Row<T>(r);
  const VF mean = hn::Set(DF(), moments.mean), scale = hn::Set(DF(), moments.scale);
  ForSteps(a.cols, WritingRow<T>(a, r), [=](auto at) HWY_ATTR {
    auto y = Mul(Sub(Load<Own<T>>(x, at), mean), scale);
    if constexpr (kWeight && kBias) {
      y = MulAdd(y, weights(at), biases(at));
    } else if constexpr (kWeight) {
      y = Mul(y, weights(at));
    } else if constexpr (kBias) {
      y = Sum(y, biases(at));
    }
    Store(y, out, at, how...);
  });
}

template <class T, class Weights, class Biases>
void NormRows(const LayerNormArgs& a, const Weights& weights, const Biases& biases) {
  ForRows(
      a.rows, a.cols, [&](int64_t r) HWY_ATTR { return MomentsOf<T>(a, r); },
      [&](int64_t r, const Moments& of_row)
          HWY_ATTR { NormRow<T>(a, r, of_row, weights, biases); });
}

// The same with what was decoded before, where that serves a row.
template <class T, class Weights, class Biases>
void NormRowsDecoded(const LayerNormArgs& a, const Weights& weights, const Biases& biases) {
  static thread_local Scratch scratch;
  const size_t room = RoomOf(a.cols);
  float* floats = scratch.Floats(2 * room);
  const Factors<T> by(a.cols, floats, weights), plus(a.cols, floats + room, biases);
  if (!by.finite() || !plus.finite()) return NormRows<T>(a, weights, biases);
  ForRows(
      a.rows, a.cols, [&](int64_t r) HWY_ATTR { return MomentsOf<T>(a, r); },
      [&](int64_t r, const Moments& of_row) HWY_ATTR {
        if (!IsFinite(of_row) || !BeginsWithStep<T>(a.out, r)) {
          return NormRow<T>(a, r, of_row, weights, biases);
        }
        NormRow<T>(a, r, of_row, by, plus, NoNan());
      });
}

void LayerNormRows(const LayerNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    const auto load = [](const T* from) HWY_ATTR {
      return [from](auto at) HWY_ATTR { return Load<Own<T>>(from, at); };
    };
    const auto weights = load(a.weight.Row<T>(0)), biases = load(a.bias.Row<T>(0));
    if (!a.weight && !a.bias) return NormRows<T>(a, None(), None());
    if (!a.weight) return NormRows<T>(a, None(), biases);
    if (!a.bias) return NormRows<T>(a, weights, None());
    if (!IsWorthDecoding<T>(a.rows, a.cols)) return NormRows<T>(a, weights, biases);
    NormRowsDecoded<T>(a, weights, biases);
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
