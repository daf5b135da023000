// Products of a few rows with a panel: kPanel columns of a matrix, as f32, element (k, n) at
// panel[k * kPanel + n]. Every output has one lane and one chain of fma over k in ascending order,
// so its bits depend on nothing but its own row and column.
//
// A weight matrix comes as rows [n][k]; the panel is its transpose. Reading it transposed in
// registers and storing 16 KB of panel to the first-level cache keeps pace with memory even for one
// row, so there is one path for every number of rows.
#include "core/threads.h"
#include "hwy/cache_control.h"
#include "kernels/block.h"
#include "kernels/matmul_plan.h"
#include "kernels/scratch.h"
#include "kernels/simd/fp8-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
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

template <class T, size_t kIndex = 0>
HWY_INLINE void StoreWords(VU words, float* out) {
  hn::Store(Unpack<kIndex>(T{}, words), DF(), out + kIndex * kPanel);
  if constexpr (kIndex + 1 < kPerWord<T>) StoreWords<T, kIndex + 1>(words, out);
}

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

// 16 bytes of each of kLanes rows, transposed: the next k follows kPanel floats on.
template <class T>
HWY_INLINE void PackTile(const std::byte* const* rows, size_t offset, float* out) {
  constexpr size_t kNext = kPerWord<T> * kPanel;
#if HWY_TARGET == HWY_SCALAR
  for (size_t word = 0; word < 4; ++word) {
    StoreWords<T>(LoadBytes(DU(), rows[0] + offset + 4 * word), out + word * kNext);
  }
#else
  const hn::Repartition<uint64_t, DU> wide;
  const VU row0 = LoadBlocks(DU(), rows, offset), row1 = LoadBlocks(DU(), rows + 1, offset);
  const VU row2 = LoadBlocks(DU(), rows + 2, offset), row3 = LoadBlocks(DU(), rows + 3, offset);
  const auto low01 = hn::BitCast(wide, hn::InterleaveLower(DU(), row0, row1));
  const auto low23 = hn::BitCast(wide, hn::InterleaveLower(DU(), row2, row3));
  const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(DU(), row0, row1));
  const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(DU(), row2, row3));
  StoreWords<T>(hn::BitCast(DU(), hn::InterleaveLower(wide, low01, low23)), out);
  StoreWords<T>(hn::BitCast(DU(), hn::InterleaveUpper(wide, low01, low23)), out + kNext);
  StoreWords<T>(hn::BitCast(DU(), hn::InterleaveLower(wide, high01, high23)), out + 2 * kNext);
  StoreWords<T>(hn::BitCast(DU(), hn::InterleaveUpper(wide, high01, high23)), out + 3 * kNext);
#endif
}

// Elements [begin, begin + depth) of kPanel rows become a panel. It is written up to the next
// multiple of 16 bytes of a row (zeros), so it needs room for as many k. Meanwhile it asks for the
// memory `ahead` elements on, if not zero: 32 rows are more streams than a CPU follows by itself
// (1.1 to 1.3 times faster for one row and weights in memory).
template <class T>
HWY_INLINE void PackPanel(const T* const* rows, size_t begin, size_t depth, int64_t ahead,
                          float* panel) {
  constexpr size_t kCount = 16 / sizeof(T), kLine = 64 / sizeof(T);
  const size_t whole = depth - depth % kCount;
  for (size_t lane = 0; lane < kPanel; lane += kLanes) {
    const std::byte* from[kLanes];
    for (size_t i = 0; i < kLanes; ++i) {
      from[i] = reinterpret_cast<const std::byte*>(rows[lane + i] + begin);
    }
    for (size_t k = 0; k < whole; k += kCount) {
      if (ahead != 0 && k % kLine == 0) {
        for (size_t i = 0; i < kLanes; ++i) hwy::Prefetch(rows[lane + i] + begin + k + ahead);
      }
      PackTile<T>(from, k * sizeof(T), panel + k * kPanel + lane);
    }
    if (whole == depth) continue;
    T tail[kLanes][kCount] = {};
    for (size_t i = 0; i < kLanes; ++i) {
      std::memcpy(tail[i], from[i] + whole * sizeof(T), (depth - whole) * sizeof(T));
      from[i] = reinterpret_cast<const std::byte*>(tail[i]);
    }
    PackTile<T>(from, 0, panel + whole * kPanel + lane);
  }
}

// Pointers to the rows n, n + 1, ... of a matrix as PackPanel takes them; behind its last row they
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

// Rows of f32: x[r * stride + k].
struct FloatRows {
  const float* data;
  size_t stride;

  HWY_INLINE FloatRows From(size_t row, size_t k) const {
    return {data + row * stride + k, stride};
  }
};

// Where sums go: row r at data + r * stride, aligned for vectors. `fresh`: they begin at zero, and
// not at what is there.
struct Sums {
  float* data;
  size_t stride;
  bool fresh;

  HWY_INLINE Sums From(size_t row) const { return {data + row * stride, stride, fresh}; }
};

// out[r][n] += sum over k of x[r][k] * panel[k][n].
template <size_t kRows>
HWY_INLINE void MultiplyTile(FloatRows x, const float* HWY_RESTRICT panel, size_t depth,
                             Sums sums) {
  float* HWY_RESTRICT out = sums.data;
  VF acc[kRows][kPanelVectors];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      acc[r][v] = hn::Zero(DF());
      if (!sums.fresh) acc[r][v] = hn::Load(DF(), out + r * sums.stride + v * kLanes);
    }
  }
  for (size_t k = 0; k < depth; ++k) {
    VF value[kRows];
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) value[r] = hn::Set(DF(), x.data[r * x.stride + k]);
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      const VF column = hn::Load(DF(), panel + k * kPanel + v * kLanes);
      HWY_UNROLL(16)
      for (size_t r = 0; r < kRows; ++r) acc[r][v] = hn::MulAdd(value[r], column, acc[r][v]);
    }
  }
  HWY_UNROLL(16)
  for (size_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (size_t v = 0; v < kPanelVectors; ++v) {
      hn::Store(acc[r][v], DF(), out + r * sums.stride + v * kLanes);
    }
  }
}

// At most kRows rows.
template <size_t kRows = kTileRows>
HWY_NOINLINE void MultiplyFew(size_t rows, FloatRows x, const float* panel, size_t depth,
                              Sums sums) {
  if (rows == kRows) return MultiplyTile<kRows>(x, panel, depth, sums);
  if constexpr (kRows > 1) MultiplyFew<kRows - 1>(rows, x, panel, depth, sums);
}

HWY_INLINE void Multiply(size_t rows, FloatRows x, const float* panel, size_t depth, Sums sums) {
  for (size_t r = 0; r < rows; r += kTileRows) {
    MultiplyFew(HWY_MIN(rows - r, kTileRows), x.From(r, 0), panel, depth, sums.From(r));
  }
}

// Rows of stored floats as f32, in scratch of the calling thread; zeros up to a whole step. The
// stride is not a multiple of a large power of two, so that the rows of a tile do not share one set
// of the cache.
template <class T>
FloatRows ConvertRows(const Block& x, int64_t begin, int64_t rows, size_t depth, Scratch& scratch) {
  const size_t stride = hwy::RoundUpTo(depth, 32) + 16;
  float* out = scratch.Floats(rows * stride);
  const int64_t grain = 1 + (1 << 14) / static_cast<int64_t>(stride);
  ParallelFor(rows, grain, [&](int64_t from, int64_t to) HWY_ATTR {
    for (int64_t r = from; r < to; ++r) {
      const T* row = x.Row<T>(begin + r);
      float* floats = out + r * stride;
      ForSteps(depth, [=](auto at) HWY_ATTR { Store(Load(row, at), floats, Full{at.i}); });
    }
  });
  return {out, stride};
}

// y = round(sums + bias) for a tile of the chunk of rows that begins at row `chunk`; bias ==
// nullptr for none, else that of the tile's first column.
template <class T, class Bias>
HWY_INLINE void StoreTile(const float* sums, const Bias* bias, const MatmulTile& tile,
                          int64_t chunk, const Block& y) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    const float* from = sums + r * kPanel;
    T* to = y.Row<T>(chunk + tile.row + r) + tile.col;
    ForSteps(tile.cols, [=](auto at) HWY_ATTR {
      const Pair sum = Load(from, at);
      Store(bias ? Sum(sum, Load(bias, at)) : sum, to, at);
    });
  }
}

// Calls body(x as f32, first row of the chunk, tile) for all tiles of a product, on all threads.
template <class T, class Body>
HWY_INLINE void ForTiles(const Block& x, int64_t rows, int64_t cols, int64_t depth,
                         const Body& body) {
  static thread_local Scratch scratch;
  const int64_t step = ChunkRows(depth);
  for (int64_t chunk = 0; chunk < rows; chunk += step) {
    const int64_t count = HWY_MIN(step, rows - chunk);
    const FloatRows floats = ConvertRows<T>(x, chunk, count, depth, scratch);
    const MatmulTiles tiles(count, cols, depth, kPanel);
    ParallelFor(tiles.size(), tiles.grain(), [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i) body(floats, chunk, tiles[i]);
    });
  }
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
