// Products of bf16 by dot products of pairs where they have the bits of fma, which DotIsExact
// tells; elsewhere the words are multiplied by fma. The upper half of a word, which is added first,
// holds the first of two elements.
#include "kernels/simd/dots-inl.h"
#include "kernels/simd/panels-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_PAIRS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_PAIRS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_PAIRS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// ExponentFloor of codes: of 2^-16, the smallest that any of the formats has.
inline constexpr int32_t kCodeFloor = 127 - 16;
static_assert(DotIsExact(kCodeFloor, kCodeFloor));

// Rows of pairs of bf16: words as a packed weight has them. floors: ExponentFloor of each row.
struct PairRows {
  static constexpr size_t kLine = 2 * SideBySide<uint32_t>::kLine;
  SideBySide<uint32_t> words;
  const int32_t* floors;

  HWY_INLINE size_t group() const { return words.group; }
  HWY_INLINE PairRows From(size_t row, size_t k) const {
    return {words.From(row, k / 2), floors + row};
  }
  HWY_INLINE VU Pair(size_t row, size_t word) const { return SetBits(words.At(row, word)); }
  HWY_INLINE VF Get(size_t row, size_t k) const {
    const uint32_t word = words.At(row, k / 2);
    return FromBits(SetBits(k % 2 == 0 ? word & 0xFFFF0000 : word << 16));
  }
  int32_t Floor(size_t rows) const {
    int32_t floor = floors[0];
    for (size_t r = 1; r < rows; ++r) floor = HWY_MIN(floor, floors[r]);
    return floor;
  }
};

template <size_t kRows, bool kAsks>
HWY_INLINE void DotTile(PairRows x, Columns<BF16> columns, size_t words, const Sums& sums) {
  ForTileVectors<kRows, BF16>(sums, [&](auto& tile, size_t vector) HWY_ATTR {
    ForLines(x, 2 * words, [&](PairRows line, size_t begin, size_t count) HWY_ATTR {
      const Columns<BF16> from = columns.From(begin / 2, vector);
      for (size_t j = 0; j < count / 2; ++j) {
        if constexpr (kAsks) from.AskAhead(j);
        tile.Add([&](size_t r) HWY_ATTR { return line.Pair(r, j); },
                 [&](size_t v) HWY_ATTR { return from.Load(j, v); },
                 [](VU pair, VU column, VF sum) HWY_ATTR { return AddDots(column, pair, sum); });
      }
    });
  });
}

// kAsks: not of a single tile of so few rows, whose few instructions a word let the CPU itself read
// further ahead than requests do.
inline constexpr size_t kFewRows = 8;
template <bool kAsks, size_t kRows = kTileRows>
HWY_NOINLINE void DotFew(size_t rows, PairRows x, Columns<BF16> columns, size_t words,
                         const Sums& sums) {
  if (rows == kRows) return DotTile<kRows, kAsks>(x, columns, words, sums);
  if constexpr (kRows > 1) DotFew<kAsks, kRows - 1>(rows, x, columns, words, sums);
}

// floor: of the columns, for all k up to the end of these.
HWY_INLINE void MultiplyPairs(size_t rows, PairRows x, Columns<BF16> columns, size_t depth,
                              int32_t floor, const Sums& sums, NextBlock next = {}) {
  const size_t words = hwy::DivCeil(depth, size_t{2});
  ForAskingTiles(rows, x.group(), columns, words, next,
                 [&](size_t r, size_t count, Columns<BF16> asking) HWY_ATTR {
                   const PairRows from = x.From(r, 0);
                   if (!DotIsExact(from.Floor(count), floor)) {
                     MultiplyFew(count, from, asking, depth, sums.From(r));
                   } else if (count == rows && count <= kFewRows) {
                     DotFew<false>(count, from, asking, words, sums.From(r));
                   } else {
                     DotFew<true>(count, from, asking, words, sums.From(r));
                   }
                 });
}

// Rows of stored floats that bf16 has, as pairs; zeros up to a whole step.
template <class T>
struct PairForm {
  using Rows = PairRows;

  static Rows Convert(const Block& x, int64_t begin, int64_t rows, size_t depth, size_t group,
                      Scratch& scratch) {
    const size_t stride = hwy::RoundUpTo(depth / 2 + 1, 32), room = hwy::RoundUpTo(rows, group);
    auto* out = reinterpret_cast<uint32_t*>(scratch.Floats(room * (stride + 1)));
    auto* floors = reinterpret_cast<int32_t*>(out + room * stride);
    return {ConvertRows(rows, stride, group, out,
                        [&](int64_t r, uint32_t* row)
                            HWY_ATTR { floors[r] = ConvertRow(x.Row<T>(begin + r), depth, row); }),
            floors};
  }

 private:
  static HWY_INLINE int32_t ConvertRow(const T* row, size_t depth, uint32_t* out) {
    ForSteps(depth, [&](auto at) HWY_ATTR {
      const auto pair = Load(row, at);
      const VU words = hn::Or(ToBits(pair.even), hn::ShiftRight<16>(ToBits(pair.odd)));
      StoreBytes(words, DU(), out + at.i / 2);
    });
    return FloorOfWords(out, hwy::RoundUpTo(depth, kStep) / 2);
  }
};

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
