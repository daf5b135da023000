#include "kernels/group_dequant.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_dequant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class Q, class T>
void DequantGroup(const Q* codes, float scale, T* out, size_t n) {
  const VF by = hn::Set(DF(), scale);
  ForSteps(n, [=](auto at) HWY_ATTR { Store(Mul(Load(codes, at), by), out, at); });
}

void GroupDequantRows(const GroupDequantArgs& a) {
  VisitCode(a.codes.dtype, [&](auto code) HWY_ATTR {
    VisitFloat(a.out.dtype, [&](auto type) HWY_ATTR {
      using Q = decltype(code);
      using T = decltype(type);
      for (int64_t r = 0; r < a.rows; ++r) {
        const float* scale = a.scales.Row<float>(r);
        for (int64_t c = 0; c < a.cols; c += a.group) {
          DequantGroup(a.codes.Row<Q>(r) + c, *scale++, a.out.Row<T>(r) + c, a.group);
        }
      }
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(GroupDequantRows);

void GroupDequant(const GroupDequantArgs& args) { HWY_DYNAMIC_DISPATCH(GroupDequantRows)(args); }

}  // namespace fusible::kernels
#endif
