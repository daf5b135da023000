#include "kernels/topk.h"

#include "kernels/largest.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/topk.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/select-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T>
void TopKRow(const T* x, size_t n, size_t k, T* values, int32_t* indices, Largest& largest) {
  FindLargest(x, n, k, largest);
  for (const uint64_t rank : largest.ByValue()) {
    const size_t index = IndexOf(rank);
    *values++ = x[index];
    *indices++ = static_cast<int32_t>(index);
  }
  values -= k;
  ForSteps(k, [=](auto at) HWY_ATTR { Store(Canonical(Load(values, at)), values, at); });
}

void TopKRows(const TopKArgs& a, Largest& largest) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (int64_t r = 0; r < a.rows; ++r) {
      TopKRow(a.x.Row<T>(r), a.cols, a.k, a.values.Row<T>(r), a.indices.Row<int32_t>(r), largest);
    }
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(TopKRows);

void TopK(const TopKArgs& args) {
  static thread_local Largest largest;
  HWY_DYNAMIC_DISPATCH(TopKRows)(args, largest);
}

}  // namespace fusible::kernels
#endif
