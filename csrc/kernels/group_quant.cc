#include "kernels/group_quant.h"

#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/group_quant.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The largest |x| of a group. Compared as integers, in which order a NaN is above infinity.
template <class T>
float MaxMagnitude(const T* x, size_t n) {
  hn::Vec<DI> max = hn::Zero(DI());
  for (size_t i = 0; i < n; i += kStep) {
    const Pair v = Load(x, Full{i});
    const auto even = hn::BitCast(DI(), hn::Abs(v.even));
    max = hn::Max(max, hn::Max(even, hn::BitCast(DI(), hn::Abs(v.odd))));
  }
  return hn::GetLane(hn::BitCast(DF(), hn::MaxOfLanes(DI(), max)));
}

template <class T, class Code>
void QuantizeGroup(const T* x, Code* codes, size_t n, float scale, float max) {
  const VF divisor = hn::Set(DF(), scale);
  for (size_t i = 0; i < n; i += kStep) {
    Store(Div(Load(x, Full{i}), divisor), codes, Full{i}, max);
  }
}

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();  // the canonical one

template <class T, class Code>
void QuantizeRow(const GroupQuantArgs& a, int64_t r) {
  const T* x = a.x.Row<T>(r);
  Code* codes = a.codes.Row<Code>(r);
  float* scales = a.scales.Row<float>(r);
  for (int64_t g = 0; g < a.cols / a.group_size; ++g) {
    const int64_t begin = g * a.group_size;
    const float amax = MaxMagnitude(x + begin, a.group_size);
    const float scale = (amax < 1e-10f ? 1e-10f : amax) / a.max;
    scales[g * a.scales.stride] = std::isnan(scale) ? kNaN : scale;
    QuantizeGroup(x + begin, codes + begin, a.group_size, scale, HWY_MIN(a.max, Code8<Code>::kMax));
  }
}

void GroupQuantRows(const GroupQuantArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    VisitFp8(a.codes.dtype, [&](auto code) HWY_ATTR {
      for (int64_t r = 0; r < a.rows; ++r) QuantizeRow<decltype(type), decltype(code)>(a, r);
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(GroupQuantRows);

void GroupQuant(const GroupQuantArgs& args) { HWY_DYNAMIC_DISPATCH(GroupQuantRows)(args); }

}  // namespace fusible::kernels
#endif
