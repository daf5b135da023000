// Rows of a product, as the kernels of tiles read them.
#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "kernels/scratch.h"
#include "kernels/simd/words-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_TILE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_TILE_ROWS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_TILE_ROWS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_TILE_ROWS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Rows of f32: x[r * stride + k].
struct FloatRows {
  static constexpr size_t kLine = size_t{1} << 40;  // see ForLines
  const float* data;
  size_t stride;

  HWY_INLINE FloatRows From(size_t row, size_t k) const {
    return {data + row * stride + k, stride};
  }
  HWY_INLINE VF Get(size_t row, size_t k) const { return hn::Set(DF(), data[row * stride + k]); }
};

// Rows of a product as its tiles take them: a line of each row of a group, then the next line of
// each, so that a tile reads one stream. Twelve rows each for itself cost a tenth of the peak of a
// Zen 4's dot products; element by element instead of line by line, few rows by a weight from
// memory took 1.2 times as long.
template <class T>
struct SideBySide {
  static constexpr size_t kLine = 64 / sizeof(T);
  const T* data;
  size_t stride;  // elements of a row, a multiple of kLine
  size_t group;   // rows of a group: as many as a tile has at most

  // row: the first of a group; i: of a line.
  HWY_INLINE SideBySide From(size_t row, size_t i) const {
    return {data + row * stride + i * group, stride, group};
  }
  // Of the first line.
  HWY_INLINE T At(size_t row, size_t i) const { return data[row * kLine + i]; }
};

struct FloatGroups {
  static constexpr size_t kLine = SideBySide<float>::kLine;
  SideBySide<float> floats;

  HWY_INLINE size_t group() const { return floats.group; }
  HWY_INLINE FloatGroups From(size_t row, size_t k) const { return {floats.From(row, k)}; }
  HWY_INLINE VF Get(size_t row, size_t k) const { return hn::Set(DF(), floats.At(row, k)); }
};

// Calls part(rows from i on, i, count) for each line of rows that have `size` elements.
template <class Rows, class F>
HWY_INLINE void ForLines(Rows x, size_t size, const F& part) {
  constexpr size_t kLine = Rows::kLine;
  size_t i = 0;
  for (; i + kLine <= size; i += kLine) part(x.From(0, i), i, kLine);
  if (i < size) part(x.From(0, i), i, size - i);
}

// Rows side by side, in scratch of the calling thread: convert(r, row) writes up to `stride`
// elements of row r.
template <class T, class F>
SideBySide<T> ConvertRows(int64_t rows, size_t stride, size_t group, T* out, const F& convert) {
  constexpr size_t kLine = SideBySide<T>::kLine;
  const int64_t groups = hwy::DivCeil(static_cast<size_t>(rows), group);
  const int64_t grain = 1 + (1 << 14) / static_cast<int64_t>(stride * group + 1);
  ParallelFor(groups, grain, [&](int64_t begin, int64_t end) HWY_ATTR {
    static thread_local Scratch scratch;
    auto* row = reinterpret_cast<T*>(scratch.Floats(stride));
    const int64_t last = HWY_MIN(rows, end * static_cast<int64_t>(group));
    for (int64_t r = begin * group; r < last; ++r) {
      if (group == 1) {
        convert(r, out + r * stride);
        continue;
      }
      convert(r, row);
      T* to = out + (r - r % group) * stride + r % group * kLine;
      for (size_t i = 0; i < stride; i += kLine) {
        std::memcpy(to + i * group, row + i, kLine * sizeof(T));
      }
    }
  });
  return {out, stride, group};
}

// Rows of stored floats as f32; behind them -0, whose product with a zero is added to no effect: +0
// would turn a sum of -0, to which products underflow, into +0.
template <class T>
struct FloatForm {
  using Rows = FloatGroups;

  static Rows Convert(const Block& x, int64_t begin, int64_t rows, size_t depth, size_t group,
                      Scratch& scratch) {
    const size_t stride = hwy::RoundUpTo(depth, 32);
    float* out = scratch.Floats(hwy::RoundUpTo(rows, group) * stride);
    return {ConvertRows(rows, stride, group, out, [&](int64_t r, float* to) HWY_ATTR {
      const T* row = x.Row<T>(begin + r);
      ForSteps(depth, [=](auto at) HWY_ATTR { Store(Load(row, at), to, Full{at.i}); });
      std::fill(to + depth, to + stride, -0.0f);
    })};
  }
};

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
