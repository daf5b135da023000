#include "kernels/rotary.h"

#include <cstring>

#include "kernels/index.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rotary.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin), each product rounded.
HWY_INLINE VF First(VF x1, VF x2, VF cos, VF sin) {
  return hn::Sub(hn::Mul(x1, cos), hn::Mul(x2, sin));
}
HWY_INLINE VF Second(VF x1, VF x2, VF cos, VF sin) {
  return hn::Add(hn::Mul(x2, cos), hn::Mul(x1, sin));
}

// Partners stand half the rotated part apart.
template <class T, class A>
void RotateHalves(const T* x, T* out, const A* cos, const A* sin, size_t half) {
  ForSteps(half, [=](auto at) HWY_ATTR {
    const Pair a = Load(x, at), b = Load(x + half, at), c = Load(cos, at), s = Load(sin, at);
    const Pair first = {First(a.even, b.even, c.even, s.even), First(a.odd, b.odd, c.odd, s.odd)};
    const Pair second = {Second(a.even, b.even, c.even, s.even),
                         Second(a.odd, b.odd, c.odd, s.odd)};
    Store(first, out, at);
    Store(second, out + half, at);
  });
}

// Partners are neighbours, and stand in one lane of a Pair already.
template <class T, class A>
void RotateNeighbours(const T* x, T* out, const A* cos, const A* sin, size_t half) {
  ForSteps(2 * half, [=](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    const VF c = LoadHalf(cos, at), s = LoadHalf(sin, at);
    Store({First(v.even, v.odd, c, s), Second(v.even, v.odd, c, s)}, out, at);
  });
}

template <class T, class A>
void RotateRow(const RotaryArgs& a, int64_t r, int64_t position) {
  const size_t half = a.rotated / 2;
  const A* cos = a.cos_sin.Row<A>(0) + position * a.rotated;
  const auto rotate = a.interleaved ? &RotateNeighbours<T, A> : &RotateHalves<T, A>;
  for (int64_t h = 0; h < a.heads; ++h) {
    const T* x = a.x.Row<T>(r) + h * a.head_size;
    T* out = a.out.Row<T>(r) + h * a.head_size;
    rotate(x, out, cos, cos + half, half);
    if (x != out)
      std::memcpy(out + a.rotated, x + a.rotated, (a.head_size - a.rotated) * sizeof(T));
  }
}

void RotaryRows(const RotaryArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    VisitFloat(a.cos_sin.dtype, [&](auto angle) HWY_ATTR {
      for (int64_t r = 0; r < a.rows; ++r) {
        RotateRow<decltype(type), decltype(angle)>(a, r, ReadIndex(a.positions, r));
      }
    });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(RotaryRows);

void Rotary(const RotaryArgs& args) { HWY_DYNAMIC_DISPATCH(RotaryRows)(args); }

}  // namespace fusible::kernels
#endif
