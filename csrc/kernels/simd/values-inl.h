// Weighted sums of values: lanes are columns, and every sum is one chain of fma over keys in
// ascending order. A step of columns lies as those of even and those of odd index, as storage
// splits it.
#include "kernels/attention_plan.h"
#include "kernels/simd/panels-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_VALUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_VALUES_INL_H_
#undef FUSIBLE_KERNELS_SIMD_VALUES_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_VALUES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Up to so many tiles of rows read values where they lie; for more, a copy as f32 is made first.
// All columns of so many keys come before the next keys: their lines are often whole multiples of
// a large power of two apart, and more of them do not fit into the first cache.
inline constexpr int64_t kFewTiles = 2;
inline constexpr int64_t kFewKeys = 32;

// Columns of the values of a block, each row where the cache has it.
template <class T>
struct ValueColumns {
  const T* const* rows;  // by key in the block
  int64_t col, count;    // kPanel columns, or fewer at the end of a row

  // A step of a key's columns; zeros behind the last.
  HWY_INLINE Pair At(int64_t key, size_t i) const {
    const size_t left = count - i;
    if (HWY_LIKELY(left >= kStep)) return Load(rows[key] + col, Full{i});
    return Load(rows[key] + col, Tail{i, left});
  }
};

// Copies a key's values, as f32, into its row of each panel.
template <class T>
HWY_INLINE void PackValues(const T* values, int64_t size, float* row) {
  ForSteps(size, [=](auto at) HWY_ATTR {
    const Pair value = Load(values, at);
    float* out = row + at.i / kPanel * kPanel * kKeys + at.i % kPanel;
    hn::Store(value.even, DF(), out);
    hn::Store(value.odd, DF(), out + kLanes);
  });
}

// sums[r] += weights[r][key] * value of the key, over `keys`, of up to kPanel columns.
template <class T, size_t kRows>
HWY_INLINE void WeighTile(FloatRows weights, ValueColumns<T> values, Range keys, Sums sums) {
  constexpr size_t kSteps = kPanel / kStep;
  VF acc[kRows][kPanelVectors];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      acc[r][v] = hn::Load(DF(), sums.data + r * sums.stride + v * kLanes);
    }
  }
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    HWY_UNROLL(16)
    for (size_t s = 0; s < kSteps; ++s) {
      if (s * kStep >= static_cast<size_t>(values.count)) break;
      const Pair value = values.At(key, s * kStep);
      HWY_UNROLL(16)
      for (size_t r = 0; r < kRows; ++r) {
        const VF weight = hn::Set(DF(), weights.data[r * weights.stride + key]);
        acc[r][2 * s] = hn::MulAdd(weight, value.even, acc[r][2 * s]);
        acc[r][2 * s + 1] = hn::MulAdd(weight, value.odd, acc[r][2 * s + 1]);
      }
    }
  }
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      hn::Store(acc[r][v], DF(), sums.data + r * sums.stride + v * kLanes);
    }
  }
}

// At most kRows rows.
template <class T, size_t kRows = kTileRows>
HWY_NOINLINE void WeighFew(size_t rows, FloatRows weights, ValueColumns<T> values, Range keys,
                           Sums sums) {
  if (rows == kRows) return WeighTile<T, kRows>(weights, values, keys, sums);
  if constexpr (kRows > 1) WeighFew<T, kRows - 1>(rows, weights, values, keys, sums);
}

// Calls multiply(row, count, keys) for rows of a tile: with those keys that all of them see, and
// row by row with the others, before and after, so that no row meets a key it does not see.
template <class F>
HWY_INLINE void ForVisible(int64_t rows, const Range* ranges, const F& multiply) {
  const auto one = [&](int64_t row, Range keys) HWY_ATTR {
    if (!keys.empty()) multiply(row, 1, keys);
  };
  Range common = {0, kKeys};
  for (int64_t r = 0; r < rows; ++r) common = Intersect(common, ranges[r]);
  if (common.empty()) {
    for (int64_t r = 0; r < rows; ++r) one(r, ranges[r]);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) one(r, {ranges[r].begin, common.begin});
  multiply(0, rows, common);
  for (int64_t r = 0; r < rows; ++r) one(r, {common.end, ranges[r].end});
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
