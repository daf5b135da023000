#include "kernels/mul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/mul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <bool kY, bool kWeight, class T>
void MulRow(const MulArgs& a, int64_t r) {
  const T *x = a.x.Row<T>(r), *y = a.y.Row<T>(r), *weight = a.weight.Row<T>(0);
  T* out = a.out.Row<T>(r);
  const VF factor = hn::Set(DF(), a.by);
  ForSteps(a.cols, WritingRow<T>(a.out, r), x, kY ? y : x, [=](auto at) HWY_ATTR {
    auto z = Load<Own<T>>(x, at);
    if constexpr (kY) z = Mul(z, Load<Own<T>>(y, at));
    if constexpr (kWeight) z = Mul(z, Load<Own<T>>(weight, at));
    Store(Mul(z, factor), out, at);
  });
}

template <class T>
auto RowOf(const MulArgs& a) {
  if (a.y) return a.weight ? &MulRow<true, true, T> : &MulRow<true, false, T>;
  return a.weight ? &MulRow<false, true, T> : &MulRow<false, false, T>;
}

void MulRows(const MulArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    const auto row = RowOf<decltype(type)>(a);
    for (int64_t r = 0; r < a.rows; ++r) row(a, r);
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
