#include "kernels/cast.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cast.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class From, class To>
void CastRow(const From* x, To* out, size_t n, bool stream) {
  ForSteps(n, stream, out, [=](auto at) HWY_ATTR { Store(Canonical(Load(x, at)), out, at); });
}

template <class F>
void VisitAny(DType dtype, const F& f) {
  if (Bytes(dtype) == 1) return VisitFp8(dtype, f);
  VisitFloat(dtype, f);
}

void CastRows(const CastArgs& a) {
  VisitAny(a.x.dtype, [&](auto from) HWY_ATTR {
    VisitAny(a.out.dtype, [&](auto to) HWY_ATTR {
      using From = decltype(from);
      using To = decltype(to);
      for (int64_t r = 0; r < a.rows; ++r) {
        CastRow(a.x.Row<From>(r), a.out.Row<To>(r), a.cols, a.out.stream);
      }
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
