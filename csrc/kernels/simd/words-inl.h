// Rows of a matrix [n][k], transposed by words of 32 bits: a panel has kPanel columns, each a row
// of the matrix. Reading it transposed in registers and storing 16 KB of panel to the first cache
// keeps pace with memory even where one row is multiplied.
#include "hwy/cache_control.h"
#include "kernels/block.h"
#include "kernels/matmul_pack.h"
#include "kernels/simd/decode-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_WORDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_WORDS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_WORDS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_WORDS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Tiles of kTileRows x kPanelVectors accumulators fill 16 registers (SSE, AVX2) or 32 (AVX-512,
// NEON) but for the operands of an fma, and are enough chains to hide its latency.
#if HWY_TARGET == HWY_SCALAR || HWY_ARCH_X86
inline constexpr size_t kPanelVectors = kLanes == 16 ? 2 : 4;
inline constexpr size_t kTileRows = kLanes == 16 ? 12 : 3;
#else
inline constexpr size_t kPanelVectors = 4;
inline constexpr size_t kTileRows = 6;
#endif
inline constexpr size_t kPanel = kPanelVectors * kLanes;  // columns; divides 128
inline constexpr int64_t kPanelDepth = 128;  // k of a panel that stays in the first cache
static_assert(kPackedPanel % kPanel == 0);

// Elements that share a 32-bit lane, and one of them as f32.
template <class T>
inline constexpr size_t kPerWord = sizeof(uint32_t) / sizeof(T);

template <size_t kIndex>
HWY_INLINE VF Unpack(float, VU word) {
  return FromBits(word);
}
template <size_t kIndex>
HWY_INLINE VF Unpack(BF16, VU word) {
  return FromBits(kIndex == 0 ? hn::ShiftLeft<16>(word) : hn::And(word, SetBits(0xFFFF0000)));
}
template <size_t kIndex>
HWY_INLINE VF Unpack(F16, VU word) {
  return Storage<F16>::Decode(kIndex == 0 ? hn::And(word, SetBits(0xFFFF))
                                          : hn::ShiftRight<16>(word));
}
template <size_t kIndex, class T>
HWY_INLINE VF Unpack(T, VU word) {
  return Code8<T>::Decode(hn::And(hn::ShiftRight<8 * kIndex>(word), SetBits(0xFF)));
}

// An element of a packed weight: the first of two in a word is its upper half.
template <class T>
struct Packed {
  T value;
};
template <size_t kIndex, class T>
HWY_INLINE VF Unpack(Packed<T>, VU word) {
  constexpr size_t kAt = kPerWord<T> == 2 ? 1 - kIndex : kIndex;
  return Unpack<kAt>(T{}, word);
}

// What a vector of words becomes in memory: rows `stride` apart. Each of its elements, as f32.
template <class T>
struct Floats {
  static constexpr size_t kRows = kPerWord<T>;

  static HWY_INLINE void Store(VU words, float* out, size_t stride) {
    if constexpr (kHasTables && sizeof(T) == 1) {
      const FourCodes codes = DecodeFour<T>(words);
      hn::Store(Unpack<0>(BF16(), codes.even), DF(), out);
      hn::Store(Unpack<0>(BF16(), codes.odd), DF(), out + stride);
      hn::Store(Unpack<1>(BF16(), codes.even), DF(), out + 2 * stride);
      hn::Store(Unpack<1>(BF16(), codes.odd), DF(), out + 3 * stride);
    } else {
      StoreFrom<0>(words, out, stride);
    }
  }
  template <size_t kIndex>
  static HWY_INLINE void StoreFrom(VU words, float* out, size_t stride) {
    hn::Store(Unpack<kIndex>(T{}, words), DF(), out + kIndex * stride);
    if constexpr (kIndex + 1 < kRows) StoreFrom<kIndex + 1>(words, out, stride);
  }
};

// Itself, as a packed weight has it.
template <class T>
struct Words {
  static constexpr size_t kRows = 1;

  static HWY_INLINE void Store(VU words, float* out, size_t) {
    if constexpr (kPerWord<T> == 2) {
      words = hn::Or(hn::ShiftLeft<16>(words), hn::ShiftRight<16>(words));
    }
    hn::Store(FromBits(words), DF(), out);
  }
};

#if HWY_TARGET != HWY_SCALAR
// 16 bytes at `offset` of rows 0, 4, 8, ...: one 128-bit block each.
template <class D>
HWY_INLINE hn::Vec<D> LoadBlocks(D d, const std::byte* const* rows, size_t offset) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return LoadBytes(d, rows[0] + offset);
  } else {
    const hn::Half<D> half;
    const size_t upper = hn::MaxLanes(D()) / 2;
    return hn::Combine(d, LoadBlocks(half, rows + upper, offset), LoadBlocks(half, rows, offset));
  }
}
#endif

// 16 bytes of each of kLanes rows, transposed.
template <class Form>
HWY_INLINE void TransposeTile(const std::byte* const* rows, size_t offset, float* out,
                              size_t stride) {
  const size_t next = Form::kRows * stride;
#if HWY_TARGET == HWY_SCALAR
  for (size_t word = 0; word < 4; ++word) {
    Form::Store(LoadBytes(DU(), rows[0] + offset + 4 * word), out + word * next, stride);
  }
#else
  const hn::Repartition<uint64_t, DU> wide;
  const VU row0 = LoadBlocks(DU(), rows, offset), row1 = LoadBlocks(DU(), rows + 1, offset);
  const VU row2 = LoadBlocks(DU(), rows + 2, offset), row3 = LoadBlocks(DU(), rows + 3, offset);
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(DU(), row0, row1));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(DU(), row2, row3));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(DU(), row0, row1));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(DU(), row2, row3));
  Form::Store(hn::BitCast(DU(), hn::InterleaveLower(wide, low01, low23)), out, stride);
  Form::Store(hn::BitCast(DU(), hn::InterleaveUpper(wide, low01, low23)), out + next, stride);
  Form::Store(hn::BitCast(DU(), hn::InterleaveLower(wide, high01, high23)), out + 2 * next, stride);
  Form::Store(hn::BitCast(DU(), hn::InterleaveUpper(wide, high01, high23)), out + 3 * next, stride);
#endif
}

// `bytes` of each of kLanes rows, transposed. They are written up to the next multiple of 16 bytes
// of a row (zeros), so that they need room for as many. Meanwhile it asks for the memory `ahead`
// bytes on, if not zero: 32 rows are more streams than a CPU follows by itself (1.1 to 1.3 times
// faster for one row and weights in memory).
template <class Form>
HWY_INLINE void TransposeRows(const std::byte* const* rows, size_t bytes, int64_t ahead, float* out,
                              size_t stride) {
  constexpr size_t kTile = 16, kLine = 64;
  const size_t whole = bytes - bytes % kTile, next = Form::kRows * stride;
  for (size_t at = 0; at < whole; at += kTile) {
    if (ahead != 0 && at % kLine == 0) {
      for (size_t i = 0; i < kLanes; ++i) hwy::Prefetch(rows[i] + at + ahead);
    }
    TransposeTile<Form>(rows, at, out + at / 4 * next, stride);
  }
  if (whole == bytes) return;
  std::byte tail[kLanes][kTile] = {};
  const std::byte* from[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    std::memcpy(tail[i], rows[i] + whole, bytes - whole);
    from[i] = tail[i];
  }
  TransposeTile<Form>(from, 0, out + whole / 4 * next, stride);
}

// Elements [begin, begin + depth) of kPanel rows become a panel. `ahead`: as above, in elements.
template <class Form, class T>
HWY_INLINE void TransposePanel(const T* const* rows, size_t begin, size_t depth, int64_t ahead,
                               float* panel) {
  for (size_t lane = 0; lane < kPanel; lane += kLanes) {
    const std::byte* from[kLanes];
    for (size_t i = 0; i < kLanes; ++i) {
      from[i] = reinterpret_cast<const std::byte*>(rows[lane + i] + begin);
    }
    TransposeRows<Form>(from, depth * sizeof(T), ahead * static_cast<int64_t>(sizeof(T)),
                        panel + lane, kPanel);
  }
}

template <class T>
HWY_INLINE void PackPanel(const T* const* rows, size_t begin, size_t depth, int64_t ahead,
                          float* panel) {
  TransposePanel<Floats<T>>(rows, begin, depth, ahead, panel);
}

// Pointers to the rows n, n + 1, ... of a matrix as panels take them; behind its last row they
// repeat that row, whose columns nobody reads.
template <class T>
HWY_INLINE void PanelRows(const T* matrix, int64_t stride, int64_t n, int64_t end, const T** rows) {
  for (size_t i = 0; i < kPanel; ++i) {
    rows[i] = matrix + HWY_MIN(n + static_cast<int64_t>(i), end - 1) * stride;
  }
}

struct Progress {
  int64_t at, end;
};

// From here to what is packed next: the next `step` elements of k, or the panel of the next
// columns.
HWY_INLINE int64_t Ahead(const Block& w, Progress col, Progress k, int64_t step) {
  if (k.at + step < k.end) return step;
  constexpr int64_t kColumns = kPanel;
  return col.at + kColumns < col.end ? kColumns * w.row_stride - k.at : 0;
}

// Columns of a product as words: word j of column c is at words[j * stride + c]. Whoever reads word
// j asks memory for next[j * next_step] meanwhile, and what is before the next of those.
template <class T>
struct Columns {
  const float* words;
  size_t stride;
  const float* next = words;
  size_t next_step = 0;  // up to 32

  HWY_INLINE VU Load(size_t word, size_t vector) const {
    return LoadBytes(DU(), words + word * stride + vector * kLanes);
  }
  // What is read but once and far ahead goes no further than the second cache: the first has too
  // few requests at a time to keep up with memory.
  HWY_INLINE void AskAhead(size_t word) const {
    constexpr size_t kLine = 16;
    const float* from = next + word * next_step;
    if (next_step <= kLine) return __builtin_prefetch(from, 0, 3);
    __builtin_prefetch(from, 0, 2);
    __builtin_prefetch(from + kLine, 0, 2);
  }
  HWY_INLINE Columns From(size_t word, size_t vector = 0) const {
    return {words + word * stride + vector * kLanes, stride, next + word * next_step, next_step};
  }
};

// Words of columns become a panel, in another form.
template <class Form, class T>
HWY_INLINE void UnpackPanel(Columns<T> columns, size_t words, float* panel) {
  for (size_t j = 0; j < words; ++j, panel += Form::kRows * kPanel) {
    columns.AskAhead(j);
    for (size_t v = 0; v < kPanelVectors; ++v) {
      Form::Store(columns.Load(j, v), panel + v * kLanes, kPanel);
    }
  }
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
