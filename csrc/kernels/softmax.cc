#include "kernels/softmax.h"

#include <limits>

#include "kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/math-inl.h"
#include "kernels/simd/sum-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// A NaN in the row may be lost here; it comes back through its own e^NaN in the sum.
template <class T>
float Max(const T* x, size_t n) {
  VF max = hn::Set(DF(), -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const Pair v = Load(x, Full{i});
    max = hn::Max(max, hn::Max(v.even, v.odd));
  }
  float result = hn::GetLane(hn::MaxOfLanes(DF(), max));
  if (i == n) return result;
  const Pair v = Load(x, Tail{i, n - i});
  alignas(64) float rest[kStep];
  Storage<float>::Store(v, rest);
  for (size_t k = 0; k < n - i; ++k) result = HWY_MAX(result, rest[k]);
  return result;
}

template <class T>
void SoftmaxRow(const T* x, T* out, float* scratch, size_t n) {
  const VF max = hn::Set(DF(), Max(x, n));
  ForSteps(n, [=](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    Store({Exp(hn::Sub(v.even, max)), Exp(hn::Sub(v.odd, max))}, scratch, at);
  });
  const float sum = CanonicalSum(n, [=](auto at) HWY_ATTR { return Load(scratch, at); });
  const VF divisor = hn::Set(DF(), sum);
  ForSteps(n, [=](auto at) HWY_ATTR { Store(Div(Load(scratch, at), divisor), out, at); });
}

void SoftmaxRows(const SoftmaxArgs& a, float* scratch) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (int64_t r = 0; r < a.rows; ++r) {
      SoftmaxRow(a.x.Row<T>(r), a.out.Row<T>(r), scratch, a.cols);
    }
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(SoftmaxRows);

void Softmax(const SoftmaxArgs& args) {
  static thread_local Scratch scratch;  // one row in f32
  HWY_DYNAMIC_DISPATCH(SoftmaxRows)(args, scratch.Floats(args.cols));
}

}  // namespace fusible::kernels
#endif
