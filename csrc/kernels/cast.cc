#include "kernels/cast.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cast.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class From, class To>
void CastRow(const CastArgs& a, int64_t r) {
  const From* x = a.x.Row<From>(r);
  To* out = a.out.Row<To>(r);
  ForSteps(a.cols, WritingRow<To>(a.out, r),
           [=](auto at) HWY_ATTR { Store(Canonical(Load(x, at)), out, at); });
}

template <class F>
void VisitAny(DType dtype, const F& f) {
  if (Bytes(dtype) == 1) return VisitFp8(dtype, f);
  VisitFloat(dtype, f);
}

void CastRows(const CastArgs& a) {
  VisitAny(a.x.dtype, [&](auto from) HWY_ATTR {
    VisitAny(a.out.dtype, [&](auto to) HWY_ATTR {
      for (int64_t r = 0; r < a.rows; ++r) CastRow<decltype(from), decltype(to)>(a, r);
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(CastRows);

void Cast(const CastArgs& args) { HWY_DYNAMIC_DISPATCH(CastRows)(args); }

}  // namespace fusible::kernels
#endif
