#include "kernels/rms_norm.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/factors-inl.h"
#include "kernels/simd/norm_rows-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Not a lambda: of several calls of a large one, g++ inlines some.
template <class Reading>
struct SquareOf {
  Reading read;

  template <class At>
  HWY_INLINE auto operator()(At at) const {
    const auto v = read(at);
    return Mul(v, v);
  }
};

// 1 / the root mean square of a row. Where that is not finite, there may be NaNs.
template <class Rows>
float ScaleOf(const RmsNormArgs& a, const Rows& rows, int64_t r) {
  const auto read = rows.FirstReading(r);
  const SquareOf<decltype(read)> square = {read};
  const float squares = CanonicalSum(a.cols, square, rows.AskingFirst(r));
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(a.cols) + a.eps);
  rows.EndFirst(r, !IsFinite(scale));
  return scale;
}

// times(y, at): a step of the row by its weights.
template <class T, class Rows, class Times, class... How>
void ScaleRow(const RmsNormArgs& a, const Rows& rows, int64_t r, float scale, const Times& times,
              How... how) {
  const T* x = rows.At(r);
  T* out = a.out.Row<T>(r);
  const VF factor = hn::Set(DF(), scale);
  ForSteps(a.cols, rows.WritingInto(r), [=](auto at) HWY_ATTR {
    Store(times(Mul(Load<Own<T>>(x, at), factor), at), out, at, how...);
  });
}

template <class T, class Rows>
void NormRowsAlone(const RmsNormArgs& a, const Rows& rows) {
  const auto same = [](const Own<T>& y, auto) HWY_ATTR { return y; };
  ForRows(
      a.rows, rows.ReadsAhead(), [&](int64_t r) HWY_ATTR { return ScaleOf(a, rows, r); },
      [&](int64_t r, float scale) HWY_ATTR {
        IsFinite(scale) ? ScaleRow<T>(a, rows, r, scale, same, NoNan())
                        : ScaleRow<T>(a, rows, r, scale, same);
      });
}

template <bool kOnePlus, class T, class Rows>
void NormRows(const RmsNormArgs& a, const Rows& rows) {
  const auto weights = [one = hn::Set(DF(), 1.0f), from = a.weight.Row<T>(0)](auto at) HWY_ATTR {
    const auto w = Load<Own<T>>(from, at);
    if constexpr (kOnePlus) return Sum(w, one);
    return w;
  };
  const auto scale_of = [&](int64_t r) HWY_ATTR { return ScaleOf(a, rows, r); };
  const auto write = [&](int64_t r, float scale) HWY_ATTR {
    ScaleRow<T>(a, rows, r, scale,
                [=](const Own<T>& y, auto at) HWY_ATTR { return Mul(y, weights(at)); });
  };
  if (!IsWorthDecoding<T>(a.rows, a.cols))
    return ForRows(a.rows, rows.ReadsAhead(), scale_of, write);
  static thread_local Scratch scratch;
  const Factors<T> decoded(a.cols, scratch.Floats(RoomOf(a.cols)), weights);
  if (!decoded.finite()) return ForRows(a.rows, rows.ReadsAhead(), scale_of, write);
  ForRows(a.rows, rows.ReadsAhead(), scale_of, [&](int64_t r, float scale) HWY_ATTR {
    if (!IsFinite(scale) || !BeginsWithStep<T>(a.out, r, a.cols)) return write(r, scale);
    ScaleRow<T>(
        a, rows, r, scale, [=](const Own<T>& y, auto at) HWY_ATTR { return Mul(y, decoded(at)); },
        NoNan());
  });
}

void RmsNormRows(const RmsNormArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    VisitRows<T>(a.x, a.sum_of, a.out, a.cols, [&](const auto& rows) HWY_ATTR {
      if (!a.weight) return NormRowsAlone<T>(a, rows);
      a.one_plus_weight ? NormRows<true, T>(a, rows) : NormRows<false, T>(a, rows);
    });
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
