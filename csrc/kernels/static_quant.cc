#include "kernels/static_quant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/static_quant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T, class Code>
void QuantizeRow(const StaticQuantArgs& a, int64_t r, float scale, float max) {
  const T* x = a.x.Row<T>(r);
  Code* codes = a.codes.Row<Code>(r);
  const VF divisor = hn::Set(DF(), scale);
  ForSteps(a.cols, WritingRow<Code>(a.codes, r),
           [=](auto at) HWY_ATTR { Store(Div(Load(x, at), divisor), codes, at, max); });
}

void StaticQuantRows(const StaticQuantArgs& a) {
  const float scale = *a.scale.Row<float>(0);
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    VisitCode(a.codes.dtype, [&](auto code) HWY_ATTR {
      using Code = decltype(code);
      const float max = HWY_MIN(a.max, Code8<Code>::kMax);
      for (int64_t r = 0; r < a.rows; ++r) {
        QuantizeRow<decltype(type), Code>(a, r, scale, max);
      }
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(StaticQuantRows);

void StaticQuant(const StaticQuantArgs& args) { HWY_DYNAMIC_DISPATCH(StaticQuantRows)(args); }

}  // namespace fusible::kernels
#endif
