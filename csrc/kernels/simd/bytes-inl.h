// Products of int8 rows with int8 columns, four neighbours a word. Sums are int32, held in the bits
// of an f32 tile: they are exact, so neither their order nor the instruction set matters.
#include "kernels/simd/byte_extensions.h"
#include "kernels/simd/panels-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_BYTES_INL_H_
#undef FUSIBLE_KERNELS_SIMD_BYTES_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_BYTES_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Whether a CPU of this target may have VNNI; HasVnni() says whether this one does.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
inline constexpr bool kMayVnni = true;

// sum + the products of the unsigned bytes of `a` with the signed ones of `b`, modulo 2^32. This
// target does not have the instruction: it is said to the assembler, not to the compiler.
HWY_INLINE VU AddByteDots(VU a, VU b, VU sum) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
}
#else
inline constexpr bool kMayVnni = false;

HWY_INLINE VU AddByteDots(VU, VU, VU sum) { return sum; }
#endif

inline constexpr uint32_t kByteOffset = 128;
inline constexpr uint32_t kByteOffsets = 0x80808080;  // in each byte of a word

// Rows of codes + kByteOffset, unsigned: of every product kByteOffset times the sum of its column
// is too much.
struct OffsetRows {
  static constexpr uint32_t kOffset = kByteOffset;
  static constexpr size_t kLine = SideBySide<uint32_t>::kLine;
  SideBySide<uint32_t> words;

  HWY_INLINE size_t group() const { return words.group; }
  HWY_INLINE OffsetRows From(size_t row, size_t word) const { return {words.From(row, word)}; }
  template <size_t kRows>
  HWY_INLINE void AddTo(PanelTile<kRows>& tile, const Columns<I8>& columns, size_t word) const {
    VU column[kPanelVectors];
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) column[v] = columns.Load(word, v);
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      const VU codes = SetBits(words.At(r, word));
      HWY_UNROLL(16)
      for (size_t v = 0; v < kPanelVectors; ++v) {
        tile.acc[r][v] = FromBits(AddByteDots(codes, column[v], ToBits(tile.acc[r][v])));
      }
    }
  }

  static constexpr size_t kWords = 1;  // for four codes
  static void Convert(const uint32_t* codes, size_t words, uint32_t* out) {
    for (size_t j = 0; j < words; ++j) out[j] = codes[j] ^ kByteOffsets;
  }
};

// A word's bytes 0 and 2, and 1 and 3, as signed numbers of 16 bits.
inline uint32_t EvenShorts(uint32_t word) {
  const auto low = static_cast<int8_t>(word), high = static_cast<int8_t>(word >> 16);
  return static_cast<uint16_t>(low) | static_cast<uint32_t>(high) << 16;
}
inline uint32_t OddShorts(uint32_t word) { return EvenShorts(word >> 8); }

#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
// Columns widened alike: pmaddwd multiplies and adds pairs, exactly.
struct WideColumn {
  using D = hn::Repartition<int16_t, DF>;
  hn::Vec<D> even, odd;

  explicit HWY_INLINE WideColumn(VU words)
      : even(hn::ShiftRight<8>(hn::ShiftLeft<8>(hn::BitCast(D(), words)))),
        odd(hn::ShiftRight<8>(hn::BitCast(D(), words))) {}

  HWY_INLINE VU AddDots(uint32_t even_pair, uint32_t odd_pair, VU sum) const {
    return AddPairs(odd, odd_pair, AddPairs(even, even_pair, sum));
  }

 private:
  static HWY_INLINE VU AddPairs(hn::Vec<D> column, uint32_t pair, VU sum) {
    auto other = hn::Zero(DI());  // stays so on x86
    const auto pairs = hn::BitCast(D(), SetBits(pair));
    return hn::BitCast(
        DU(), hn::ReorderWidenMulAccumulate(DI(), column, pairs, hn::BitCast(DI(), sum), other));
  }
};
#else
// Byte by byte.
struct WideColumn {
  hn::Vec<DI> words;

  explicit HWY_INLINE WideColumn(VU column) : words(hn::BitCast(DI(), column)) {}

  HWY_INLINE VU AddDots(uint32_t even_pair, uint32_t odd_pair, VU sum) const {
    sum = hn::Add(Product<0>(even_pair), hn::Add(Product<1>(odd_pair), sum));
    return hn::Add(Product<2>(even_pair >> 16), hn::Add(Product<3>(odd_pair >> 16), sum));
  }

 private:
  template <int kByte>
  HWY_INLINE VU Product(uint32_t code) const {
    const auto byte = hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * kByte>(words));
    return hn::BitCast(DU(), hn::Mul(byte, hn::Set(DI(), static_cast<int16_t>(code))));
  }
};
#endif

// Rows of codes as numbers of 16 bits: the EvenShorts of a word, then its OddShorts.
struct ShortRows {
  static constexpr uint32_t kOffset = 0;
  static constexpr size_t kLine = SideBySide<uint32_t>::kLine / 2;
  SideBySide<uint32_t> words;

  HWY_INLINE size_t group() const { return words.group; }
  HWY_INLINE ShortRows From(size_t row, size_t word) const {
    return {words.From(row, word * kWords)};
  }
  template <size_t kRows>
  HWY_INLINE void AddTo(PanelTile<kRows>& tile, const Columns<I8>& columns, size_t word) const {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      const WideColumn column(columns.Load(word, v));
      HWY_UNROLL(16)
      for (size_t r = 0; r < kRows; ++r) {
        const uint32_t even = words.At(r, word * kWords), odd = words.At(r, word * kWords + 1);
        tile.acc[r][v] = FromBits(column.AddDots(even, odd, ToBits(tile.acc[r][v])));
      }
    }
  }

  static constexpr size_t kWords = 2;
  static void Convert(const uint32_t* codes, size_t words, uint32_t* out) {
    for (size_t j = 0; j < words; ++j) {
      out[kWords * j] = EvenShorts(codes[j]);
      out[kWords * j + 1] = OddShorts(codes[j]);
    }
  }
};

// Rows of stored codes; zeros up to whole words.
template <class CodeRows>
struct CodeForm {
  using Rows = CodeRows;

  static Rows Convert(const Block& x, int64_t begin, int64_t rows, size_t depth, size_t group,
                      Scratch& scratch) {
    const size_t words = hwy::DivCeil(depth, sizeof(uint32_t));
    const size_t stride = hwy::RoundUpTo(words * Rows::kWords, 16);
    auto* out = reinterpret_cast<uint32_t*>(scratch.Floats(hwy::RoundUpTo(rows, group) * stride));
    return {ConvertRows(rows, stride, group, out, [&](int64_t r, uint32_t* row) {
      static thread_local Scratch copy_scratch;  // rows may begin at any byte
      auto* copy = reinterpret_cast<uint32_t*>(copy_scratch.Floats(words + 1));
      if (words > 0) copy[words - 1] = 0;
      if (depth > 0) std::memcpy(copy, x.Row<int8_t>(begin + r), depth);
      Rows::Convert(copy, words, row);
    })};
  }
};

template <size_t kRows = kTileRows, class Rows>
HWY_NOINLINE void MultiplyFewCodes(size_t rows, Rows x, Columns<I8> columns, size_t words,
                                   const Sums& sums) {
  if (rows < kRows) {
    if constexpr (kRows > 1) MultiplyFewCodes<kRows - 1>(rows, x, columns, words, sums);
    return;
  }
  PanelTile<kRows> tile;
  tile.Load(sums);
  ForLines(x, words, [&](Rows line, size_t begin, size_t count) HWY_ATTR {
    const Columns<I8> from = columns.From(begin);
    for (size_t j = 0; j < count; ++j) line.AddTo(tile, from, j);
  });
  tile.Store(sums);
}

template <class Rows>
HWY_INLINE void MultiplyCodes(size_t rows, Rows x, Columns<I8> columns, size_t words,
                              const Sums& sums) {
  ForTileRows(rows, x.group(), [&](size_t r, size_t count) HWY_ATTR {
    MultiplyFewCodes(count, x.From(r, 0), columns, words, sums.From(r));
  });
}

// sums[c] += kByteOffset times the sum of the codes of column c.
HWY_INLINE void AddOffsets(Columns<I8> columns, size_t words, uint32_t* sums) {
  for (size_t v = 0; v < kPanelVectors; ++v) {
    VU sum = hn::Load(DU(), sums + v * kLanes);
    for (size_t j = 0; j < words; ++j) {
      sum = AddByteDots(SetBits(kByteOffsets), columns.Load(j, v), sum);
    }
    hn::Store(sum, DU(), sums + v * kLanes);
  }
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
