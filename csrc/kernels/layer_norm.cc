#include "kernels/layer_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/factors-inl.h"
#include "kernels/simd/norm_rows-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

struct Moments {
  float mean, scale;  // scale: 1 / standard deviation
};

// Where these are not finite, there may be NaNs.
template <class T, class Rows>
Moments MomentsOf(const LayerNormArgs& a, const Rows& rows, int64_t r) {
  const auto count = static_cast<float>(a.cols);
  const float mean = CanonicalSum(a.cols, rows.FirstReading(r), rows.AskingFirst(r)) / count;
  const VF center = hn::Set(DF(), mean);
  const float squares = CanonicalSum(a.cols, [=, x = rows.At(r)](auto at) HWY_ATTR {
    const auto d = Sub(Load<Own<T>>(x, at), center);
    return Mul(d, d);
  });
  const Moments moments = {mean, 1.0f / std::sqrt(squares / count + a.eps)};
  rows.EndFirst(r, !IsFinite(moments.scale));
  return moments;
}

// Nothing to multiply by or to add.
struct None {};

template <class T, class Rows, class Weights, class Biases, class... How>
void NormRow(const LayerNormArgs& a, const Rows& rows, int64_t r, const Moments& moments,
             const Weights& weights, const Biases& biases, How... how) {
  constexpr bool kWeight = !std::is_same_v<Weights, None>, kBias = !std::is_same_v<Biases, None>;
  const T* x = rows.At(r);
  T* out = a.out.Row<T>(r);
  const VF mean = hn::Set(DF(), moments.mean), scale = hn::Set(DF(), moments.scale);
  ForSteps(a.cols, rows.WritingInto(r), [=](auto at) HWY_ATTR {
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

template <class T, class Rows, class Weights, class Biases>
void NormRows(const LayerNormArgs& a, const Rows& rows, const Weights& weights,
              const Biases& biases) {
  ForRows(
      a.rows, rows.ReadsAhead(), [&](int64_t r) HWY_ATTR { return MomentsOf<T>(a, rows, r); },
      [&](int64_t r, const Moments& of_row)
          HWY_ATTR { NormRow<T>(a, rows, r, of_row, weights, biases); });
}

// The same with what was decoded before, where that serves a row.
template <class T, class Rows, class Weights, class Biases>
void NormRowsDecoded(const LayerNormArgs& a, const Rows& rows, const Weights& weights,
                     const Biases& biases) {
  static thread_local Scratch scratch;
  const size_t room = RoomOf(a.cols);
  float* floats = scratch.Floats(2 * room);
  const Factors<T> by(a.cols, floats, weights), plus(a.cols, floats + room, biases);
  if (!by.finite() || !plus.finite()) return NormRows<T>(a, rows, weights, biases);
  ForRows(
      a.rows, rows.ReadsAhead(), [&](int64_t r) HWY_ATTR { return MomentsOf<T>(a, rows, r); },
      [&](int64_t r, const Moments& of_row) HWY_ATTR {
        if (!IsFinite(of_row.scale) || !BeginsWithStep<T>(a.out, r, a.cols)) {
          return NormRow<T>(a, rows, r, of_row, weights, biases);
        }
        NormRow<T>(a, rows, r, of_row, by, plus, NoNan());
      });
}

template <class T, class Rows>
void LayerNormRowsOf(const LayerNormArgs& a, const Rows& rows) {
  const auto load = [](const T* from) HWY_ATTR {
    return [from](auto at) HWY_ATTR { return Load<Own<T>>(from, at); };
  };
  const auto weights = load(a.weight.Row<T>(0)), biases = load(a.bias.Row<T>(0));
  if (!a.weight && !a.bias) return NormRows<T>(a, rows, None(), None());
  if (!a.weight) return NormRows<T>(a, rows, None(), biases);
  if (!a.bias) return NormRows<T>(a, rows, weights, None());
  if (!IsWorthDecoding<T>(a.rows, a.cols)) return NormRows<T>(a, rows, weights, biases);
  NormRowsDecoded<T>(a, rows, weights, biases);
}

void LayerNormRows(const LayerNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    VisitRows<T>(a.x, a.sum_of, a.out, a.cols,
                 [&](const auto& rows) HWY_ATTR { LayerNormRowsOf<T>(a, rows); });
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
