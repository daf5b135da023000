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

// A row's heads, of `size` elements each, and the first `half` cosines and sines of its position.
template <class T, class A>
struct Heads {
  const T* x;
  T* out;
  int64_t count, size;
  const A *cos, *sin;
  size_t half;
};

// Partners stand half the rotated part apart. Angles are read once for all heads.
template <class T, class A>
void RotateHalves(const Heads<T, A>& row) {
  ForSteps(row.half, [&](auto at) HWY_ATTR {
    const Pair c = Load(row.cos, at), s = Load(row.sin, at);
    for (int64_t h = 0; h < row.count * row.size; h += row.size) {
      const Pair a = Load(row.x + h, at), b = Load(row.x + h + row.half, at);
      Store({First(a.even, b.even, c.even, s.even), First(a.odd, b.odd, c.odd, s.odd)}, row.out + h,
            at);
      Store({Second(a.even, b.even, c.even, s.even), Second(a.odd, b.odd, c.odd, s.odd)},
            row.out + h + row.half, at);
    }
  });
}

// Partners are neighbours, and stand in one lane of a Pair already.
template <class T, class A>
void RotateNeighbours(const Heads<T, A>& row) {
  ForSteps(2 * row.half, [&](auto at) HWY_ATTR {
    const VF c = LoadHalf(row.cos, at), s = LoadHalf(row.sin, at);
    for (int64_t h = 0; h < row.count * row.size; h += row.size) {
      const Pair v = Load(row.x + h, at);
      Store({First(v.even, v.odd, c, s), Second(v.even, v.odd, c, s)}, row.out + h, at);
    }
  });
}

template <class T, class A>
void RotateRow(const RotaryArgs& a, int64_t r, int64_t position) {
  const A* cos = a.cos_sin.Row<A>(0) + position * a.rotated;
  const Heads<T, A> row = {a.x.Row<T>(r),
                           a.out.Row<T>(r),
                           a.heads,
                           a.head_size,
                           cos,
                           cos + a.rotated / 2,
                           static_cast<size_t>(a.rotated / 2)};
  a.interleaved ? RotateNeighbours(row) : RotateHalves(row);
  if (row.x == row.out || a.rotated == a.head_size) return;
  const size_t rest = (a.head_size - a.rotated) * sizeof(T);
  for (int64_t at = a.rotated; at < a.heads * a.head_size; at += a.head_size) {
    std::memcpy(row.out + at, row.x + at, rest);
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
