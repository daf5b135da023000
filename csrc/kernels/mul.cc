#include "kernels/mul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/mul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T>
void ScaleRow(const T* x, T* out, size_t n, float by, bool stream) {
  const VF factor = hn::Set(DF(), by);
  ForSteps(n, stream, out, [=](auto at) HWY_ATTR { Store(Mul(Load(x, at), factor), out, at); });
}

template <class T>
void MulRow(const T* x, const T* y, T* out, size_t n, float by, bool stream) {
  const VF factor = hn::Set(DF(), by);
  ForSteps(n, stream, out,
           [=](auto at) HWY_ATTR { Store(Mul(Mul(Load(x, at), Load(y, at)), factor), out, at); });
}

void MulRows(const MulArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (int64_t r = 0; r < a.rows; ++r) {
      const T* x = a.x.Row<T>(r);
      T* out = a.out.Row<T>(r);
      if (a.y) {
        MulRow(x, a.y.Row<T>(r), out, a.cols, a.by, a.out.stream);
      } else {
        ScaleRow(x, out, a.cols, a.by, a.out.stream);
      }
    }
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(MulRows);

void Mul(const MulArgs& args) { HWY_DYNAMIC_DISPATCH(MulRows)(args); }

}  // namespace fusible::kernels
#endif
