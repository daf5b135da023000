#include "kernels/add.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/add.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T>
void AddRow(const AddArgs& a, int64_t r) {
  const T *x = a.x.Row<T>(r), *y = a.y.Row<T>(r);
  T* out = a.out.Row<T>(r);
  ForSteps(a.cols, WritingRow<T>(a.out, r), x, y, [=](auto at) HWY_ATTR {
    Store(Sum(Load<Own<T>>(x, at), Load<Own<T>>(y, at)), out, at);
  });
}

void AddRows(const AddArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    for (int64_t r = 0; r < a.rows; ++r) AddRow<decltype(type)>(a, r);
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(AddRows);

void Add(const AddArgs& args) { HWY_DYNAMIC_DISPATCH(AddRows)(args); }

}  // namespace fusible::kernels
#endif
