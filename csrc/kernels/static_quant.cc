#include "kernels/static_quant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/static_quant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T, class Code>
void QuantizeRow(const T* x, Code* codes, size_t n, float scale, float max, bool stream) {
  const VF divisor = hn::Set(DF(), scale);
  ForSteps(n, stream, codes,
           [=](auto at) HWY_ATTR { Store(Div(Load(x, at), divisor), codes, at, max); });
}

void StaticQuantRows(const StaticQuantArgs& a) {
  const float scale = *a.scale.Row<float>(0);
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    VisitCode(a.codes.dtype, [&](auto code) HWY_ATTR {
      using T = decltype(type);
      using Code = decltype(code);
      const float max = HWY_MIN(a.max, Code8<Code>::kMax);
      for (int64_t r = 0; r < a.rows; ++r) {
        QuantizeRow(a.x.Row<T>(r), a.codes.Row<Code>(r), a.cols, scale, max, a.codes.stream);
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
