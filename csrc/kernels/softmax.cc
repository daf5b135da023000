#include "kernels/softmax.h"

#include "kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/kept-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/select-inl.h"
#include "kernels/simd/sum-inl.h"
#include "kernels/simd/weight-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T>
void SoftmaxRow(const SoftmaxArgs& a, int64_t r, float* scratch) {
  const size_t n = a.cols;
  const T* x = a.x.Row<T>(r);
  T* out = a.out.Row<T>(r);
  const VF max = hn::Set(DF(), RowMax(x, n));
  const float sum = CanonicalSum(n, [=](auto at) HWY_ATTR {
    const auto weight = Weight(Sub(Load<Own<T>>(x, at), max));
    Keep(weight, scratch, at.i);
    return weight;
  });
  const VF divisor = hn::Set(DF(), sum);
  Writing row = WritingRow<T>(a.out, r, x, a.x.Row<T>(r + RowsAhead(a.cols)));
  row.anywhere = false;  // the scratch has whole steps
  ForSteps(n, row,
           [=](auto at) HWY_ATTR { Store(Div(Kept<Own<T>>(scratch, at.i), divisor), out, at); });
}

void SoftmaxRows(const SoftmaxArgs& a, Scratch& memory) {
  float* scratch = memory.Floats(KeptRoom(a.cols));
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (int64_t r = 0; r < a.rows; ++r) SoftmaxRow<T>(a, r, scratch);
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(SoftmaxRows);

void Softmax(const SoftmaxArgs& args) {
  static thread_local Scratch scratch;  // one row in f32
  HWY_DYNAMIC_DISPATCH(SoftmaxRows)(args, scratch);
}

}  // namespace fusible::kernels
#endif
