#include "kernels/add.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/add.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <bool kTwice, class T, class... How>
void AddRow(const AddArgs& a, int64_t r, How... how) {
  const T *x = a.x.Row<T>(r), *y = a.y.Row<T>(r);
  T* out = a.out.Row<T>(r);
  T* second = reinterpret_cast<T*>(a.out.second + r * a.out.second_row);
  ForSteps(a.cols, WritingRow<T>(a.out, r), [=](auto at) HWY_ATTR {
    Store(Sum(Load<Own<T>>(x, at), Load<Own<T>>(y, at)), out, at, how...);
    if constexpr (kTwice) StoreAgain(out, second, at);
  });
}

template <bool kTwice, class T, class... How>
void AddAll(const AddArgs& a, How... how) {
  for (int64_t r = 0; r < a.rows; ++r) AddRow<kTwice, T>(a, r, how...);
}

// A NaN that is a sum of stored numbers has zeros behind their places: it is rounded to a NaN, if
// not the canonical one, without a look for it.
void AddRows(const AddArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (a.out.second != nullptr) return AddAll<true, T>(a);
    a.out.unsettled ? AddAll<false, T>(a, NoNan()) : AddAll<false, T>(a);
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
