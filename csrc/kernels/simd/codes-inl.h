// Products with 8-bit floats that are scaled in groups of k: sums[r] = fma(dot, scale, sums[r]),
// dot one chain of fma over the group, k ascending, from zero. All of these codes are bf16 numbers.
#include "kernels/simd/byte_extensions.h"
#include "kernels/simd/pairs-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_CODES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_CODES_INL_H_
#undef FUSIBLE_KERNELS_SIMD_CODES_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_CODES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The codes of each word as pairs of bf16, the first of two in the upper half.
struct TwoPairs {
  VU first, second;
};

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr bool kMayVbmi = true;

// Both bytes of the bf16 of a code without its sign; where the codes of four words go, so that
// those of the first pairs are in front.
struct alignas(64) ByteTables {
  uint8_t low[128], high[128];
  uint8_t order[16] = {1, 0, 5, 4, 9, 8, 13, 12, 3, 2, 7, 6, 11, 10, 15, 14};
};
template <class T>
constexpr ByteTables MakeByteTables() {
  ByteTables t = {};
  for (uint32_t code = 0; code < 128; ++code) {
    t.low[code] = Bf16OfCode<T>(code) & 0xFF;
    t.high[code] = Bf16OfCode<T>(code) >> 8;
  }
  return t;
}
template <class T>
inline constexpr ByteTables kByteTables = MakeByteTables<T>();

// Four codes a lane by VBMI: two choices give the bytes of the codes in their new order, so that
// interleaving them gives the pairs. (Choices that put bytes in place were up to 15 % slower: dot
// products want the same ports.) This target does not have the instruction: it is said to the
// assembler, not to the compiler.
template <class T>
class Decoder {
 public:
  explicit HWY_INLINE Decoder(const ByteTables& t = kByteTables<T>)
      : low0_(Table(t.low)),
        low1_(Table(t.low + 64)),
        high0_(Table(t.high)),
        high1_(Table(t.high + 64)),
        order_(hn::BitCast(DU(), hn::LoadDup128(kBytes, t.order))) {}

  HWY_INLINE TwoPairs operator()(VU words) const {
    const VU codes = hn::TableLookupBytes(words, order_);
    VU low = Choose(codes, low0_, low1_);
    VU high = hn::OrAnd(Choose(codes, high0_, high1_), codes, SetBits(0x80808080));
    if constexpr (std::is_same_v<T, E4M3FNUZ>) {
      const __mmask64 nan = _mm512_cmpeq_epi8_mask(codes.raw, SetBits(0x80808080).raw);
      low = VU{_mm512_mask_mov_epi8(low.raw, nan, SetBits(0xC0C0C0C0).raw)};
      high = VU{_mm512_mask_mov_epi8(high.raw, nan, SetBits(0x7F7F7F7F).raw)};
    }
    const auto lows = hn::BitCast(kBytes, low), highs = hn::BitCast(kBytes, high);
    return {hn::BitCast(DU(), hn::InterleaveLower(kBytes, lows, highs)),
            hn::BitCast(DU(), hn::InterleaveUpper(kBytes, lows, highs))};
  }

 private:
  static constexpr hn::Repartition<uint8_t, DU> kBytes = {};

  static HWY_INLINE VU Choose(VU index, VU from, VU behind) {
    asm("vpermi2b %2, %1, %0" : "+v"(index.raw) : "v"(from.raw), "vm"(behind.raw));
    return index;
  }
  static HWY_INLINE VU Table(const uint8_t* at) { return LoadBytes(DU(), at); }

  const VU low0_, low1_, high0_, high1_, order_;
};
#else
inline constexpr bool kMayVbmi = false;

template <class T>
struct Decoder {
  HWY_INLINE TwoPairs operator()(VU words) const { return {words, words}; }
};
#endif

// A word of four codes becomes two words of pairs, in memory.
template <class T>
struct CodePairs {
  static constexpr size_t kRows = 2;

  static HWY_INLINE void Store(VU words, float* out, size_t stride) {
    const TwoPairs pairs = Decoder<T>()(words);
    hn::Store(FromBits(pairs.first), DF(), out);
    hn::Store(FromBits(pairs.second), DF(), out + stride);
  }
};

// k of a product, and of a group of them; the last one may be shorter.
struct Groups {
  size_t depth, size;
};

// Columns as tiles take them, `count` k from k on: here those of one group, in a panel. Exact: dot
// products have the bits of fma for all rows.
template <bool kExact>
struct PanelColumns {
  const float* panel;

  template <size_t kRows>
  HWY_INLINE void AddTo(PanelTile<kRows>& tile, FloatGroups x, size_t, size_t count) const {
    const Columns<float> columns = {panel, kPanel};
    ForLines(x, count, [&](FloatGroups line, size_t begin, size_t k_count) HWY_ATTR {
      const Columns<float> from = columns.From(begin);
      for (size_t k = 0; k < k_count; ++k) tile.template AddElements<0, 1>(line, k, from, k);
    });
  }
  template <size_t kRows>
  HWY_INLINE void AddTo(PanelTile<kRows>& tile, PairRows x, size_t, size_t count) const {
    const Columns<BF16> columns = {panel, kPanel};
    ForLines(x, count, [&](PairRows line, size_t begin, size_t k_count) HWY_ATTR {
      const Columns<BF16> from = columns.From(begin / 2);
      for (size_t j = 0; j < hwy::DivCeil(k_count, size_t{2}); ++j) AddWord(tile, line, from, j);
    });
  }

  template <size_t kRows>
  static HWY_INLINE void AddWord(PanelTile<kRows>& tile, PairRows x, const Columns<BF16>& columns,
                                 size_t word) {
    if constexpr (kExact) {
      VU column[kPanelVectors];
      HWY_UNROLL(16)
      for (size_t v = 0; v < kPanelVectors; ++v) column[v] = columns.Load(word, v);
      AddPairs(tile, x, word, column);
    } else {
      tile.template AddElements<0, 2>(x, 2 * word, columns, word);
    }
  }
  template <size_t kRows>
  static HWY_INLINE void AddPairs(PanelTile<kRows>& tile, PairRows x, size_t word,
                                  const VU (&column)[kPanelVectors]) {
    tile.Add([&](size_t r) HWY_ATTR { return x.Pair(r, word); },
             [&](size_t v) HWY_ATTR { return column[v]; },
             [](VU pair, VU other, VF sum) HWY_ATTR { return AddDots(other, pair, sum); });
  }
};

// The same of a packed weight, decoded in registers, again for each tile of rows. Each asks memory
// for what it needs soon: decoding keeps the CPU from reading that far ahead itself, and one to
// four rows take a third less time with it.
template <class T>
struct CodeColumns {
  const float* words;

  template <size_t kRows, class Rows>
  HWY_INLINE void AddTo(PanelTile<kRows>& tile, Rows x, size_t k, size_t count) const {
    const Decoder<T> decode;
    ForLines(x, count, [&](Rows line, size_t begin, size_t k_count) HWY_ATTR {
      const Columns<T> from = From(k + begin);
      for (size_t j = 0; j < hwy::DivCeil(k_count, kPerWord<T>); ++j) {
        from.AskAhead(j);
        AddWord(tile, line, 4 * j, decode, from, j);
      }
    });
  }

 private:
  HWY_INLINE Columns<T> From(size_t k) const {
    const float* from = words + k / kPerWord<T> * kPackedPanel;
    return {from, kPackedPanel, from + kSoon, kPackedPanel};
  }

  template <size_t kRows>
  static HWY_INLINE void AddWord(PanelTile<kRows>& tile, FloatGroups x, size_t k,
                                 const Decoder<T>& decode, const Columns<T>& from, size_t word) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      const TwoPairs pairs = decode(from.Load(word, v));
      AddVector<0>(tile, v, x, k, pairs.first);
      AddVector<0>(tile, v, x, k + 2, pairs.second);
    }
  }
  template <size_t kRows>
  static HWY_INLINE void AddWord(PanelTile<kRows>& tile, PairRows x, size_t k,
                                 const Decoder<T>& decode, const Columns<T>& from, size_t word) {
    VU first[kPanelVectors], second[kPanelVectors];
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      const TwoPairs pairs = decode(from.Load(word, v));
      first[v] = pairs.first;
      second[v] = pairs.second;
    }
    PanelColumns<true>::AddPairs(tile, x, k / 2, first);
    PanelColumns<true>::AddPairs(tile, x, k / 2 + 1, second);
  }
  template <size_t kIndex, size_t kRows>
  static HWY_INLINE void AddVector(PanelTile<kRows>& tile, size_t v, FloatGroups x, size_t k,
                                   VU pairs) {
    const VF column = Unpack<kIndex>(Packed<BF16>{}, pairs);
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      tile.acc[r][v] = hn::MulAdd(x.Get(r, k + kIndex), column, tile.acc[r][v]);
    }
    if constexpr (kIndex == 0) AddVector<1>(tile, v, x, k, pairs);
  }
};

// Sums of a tile, row r at sums + r * kPanel. Row r's dot product of group g is multiplied with
// scales[g * stride + r].
struct ScaledSums {
  float* sums;
  const float* scales;
  size_t stride;

  HWY_INLINE ScaledSums From(size_t row) const {
    return {sums + row * kPanel, scales + row, stride};
  }
  template <size_t kRows>
  HWY_INLINE void Add(const PanelTile<kRows>& tile, size_t group) const {
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      const VF scale = hn::Set(DF(), scales[group * stride + r]);
      HWY_UNROLL(16)
      for (size_t v = 0; v < kPanelVectors; ++v) {
        float* sum = sums + r * kPanel + v * kLanes;
        hn::Store(hn::MulAdd(tile.acc[r][v], scale, hn::Load(DF(), sum)), DF(), sum);
      }
    }
  }
};

// At most kRows rows.
template <size_t kRows = kTileRows, class Rows, class Source>
HWY_NOINLINE void AddGroupsOfFew(size_t rows, Rows x, const Source& columns, Groups groups,
                                 const ScaledSums& to) {
  if (rows < kRows) {
    if constexpr (kRows > 1) AddGroupsOfFew<kRows - 1>(rows, x, columns, groups, to);
    return;
  }
  for (size_t k = 0, group = 0; k < groups.depth; k += groups.size, ++group) {
    PanelTile<kRows> tile;
    tile.Load({nullptr, 0, true});
    columns.AddTo(tile, x.From(0, k), k, HWY_MIN(groups.size, groups.depth - k));
    to.Add(tile, group);
  }
}

template <class Rows, class Source>
HWY_INLINE void AddGroups(size_t rows, Rows x, const Source& columns, Groups groups,
                          const ScaledSums& to) {
  ForTileRows(rows, x.group(), [&](size_t r, size_t count) HWY_ATTR {
    AddGroupsOfFew(count, x.From(r, 0), columns, groups, to.From(r));
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
