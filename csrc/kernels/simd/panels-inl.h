// Products of a few rows with the columns of a panel. Every output has one lane and one chain of
// fma over k in ascending order, so its bits depend on nothing but its own row and column.
#include "core/threads.h"
#include "kernels/matmul_plan.h"
#include "kernels/scratch.h"
#include "kernels/simd/byte_extensions.h"
#include "kernels/simd/tile_rows-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_PANELS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// Where sums go: row r at data + r * stride, aligned for vectors. `fresh`: they begin at zero, and
// not at what is there.
struct Sums {
  float* data;
  size_t stride;
  bool fresh;

  HWY_INLINE Sums From(size_t row) const { return {data + row * stride, stride, fresh}; }
};

// Where elements are decoded in registers there is a mask more, and 16 of them do not hold tiles of
// kTileRows by a panel beside it: those have half of the columns of a panel, and more rows.
template <class T>
inline constexpr bool kHalves = kLanes < 16 && HWY_ARCH_X86 && kPerWord<T> > 1;
template <class T>
inline constexpr size_t kMostRows = kHalves<T> ? 5 : kTileRows;  // of a tile
template <size_t kRows, class T>
inline constexpr size_t kTileVectors = kHalves<T> && kRows > 2 ? kPanelVectors / 2 : kPanelVectors;

// The accumulators of kRows rows by kVectors vectors of columns.
template <size_t kRows, size_t kVectors>
struct Tile {
  VF acc[kRows][kVectors];

  HWY_INLINE void Load(const Sums& sums) {
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      HWY_UNROLL(16)
      for (size_t v = 0; v < kVectors; ++v) {
        acc[r][v] = hn::Zero(DF());
        if (!sums.fresh) acc[r][v] = hn::Load(DF(), sums.data + r * sums.stride + v * kLanes);
      }
    }
  }
  HWY_INLINE void Store(const Sums& sums) const {
    HWY_UNROLL(16)
    for (size_t r = 0; r < kRows; ++r) {
      HWY_UNROLL(16)
      for (size_t v = 0; v < kVectors; ++v) {
        hn::Store(acc[r][v], DF(), sums.data + r * sums.stride + v * kLanes);
      }
    }
  }
  // acc += value(r) * column(v). The fewer of the two wait in registers for the others: with all
  // values of twelve rows waiting a tile would not fit.
  template <class Value, class Column, class MulAdd>
  HWY_INLINE void Add(const Value& value, const Column& column, const MulAdd& mul_add) {
    if constexpr (kRows < kVectors) {
      decltype(value(0)) values[kRows];
      HWY_UNROLL(16)
      for (size_t r = 0; r < kRows; ++r) values[r] = value(r);
      HWY_UNROLL(16)
      for (size_t v = 0; v < kVectors; ++v) {
        const auto one = column(v);
        HWY_UNROLL(16)
        for (size_t r = 0; r < kRows; ++r) acc[r][v] = mul_add(values[r], one, acc[r][v]);
      }
    } else {
      decltype(column(0)) columns[kVectors];
      HWY_UNROLL(16)
      for (size_t v = 0; v < kVectors; ++v) columns[v] = column(v);
      HWY_UNROLL(16)
      for (size_t r = 0; r < kRows; ++r) {
        const auto one = value(r);
        HWY_UNROLL(16)
        for (size_t v = 0; v < kVectors; ++v) acc[r][v] = mul_add(one, columns[v], acc[r][v]);
      }
    }
  }
  // Adds x[r][k + i] * element i of a word, for i from kIndex to kEnd.
  template <size_t kIndex, size_t kEnd, class Rows, class T>
  HWY_INLINE void AddElements(const Rows& x, size_t k, Columns<T> columns, size_t word) {
    Add([&](size_t r) HWY_ATTR { return x.Get(r, k + kIndex); },
        [&](size_t v) HWY_ATTR { return Unpack<kIndex>(Packed<T>{}, columns.Load(word, v)); },
        [](VF value, VF column, VF sum) HWY_ATTR { return hn::MulAdd(value, column, sum); });
    if constexpr (kIndex + 1 < kEnd) {
      // The words are loaded anew: kept for their next element they would not fit either.
      asm("" : "+r"(columns.words));
      AddElements<kIndex + 1, kEnd>(x, k, columns, word);
    }
  }
};

// As wide as a panel.
template <size_t kRows>
using PanelTile = Tile<kRows, kPanelVectors>;

// Calls part(accumulators, vector) for the parts of a panel that tiles of kRows rows have, from
// column vector * kLanes on, and adds what it leaves there to the sums.
template <size_t kRows, class T, class F>
HWY_INLINE void ForTileVectors(const Sums& sums, const F& part) {
  constexpr size_t kVectors = kTileVectors<kRows, T>;
  for (size_t v = 0; v < kPanelVectors; v += kVectors) {
    Tile<kRows, kVectors> tile;
    const Sums to = {sums.data + v * kLanes, sums.stride, sums.fresh};
    tile.Load(to);
    part(tile, v);
    tile.Store(to);
  }
}

// out[r][n] += sum over k of x[r][k] * column[n][k]. f32 are in the first cache mostly: whoever put
// them there has asked for the next ones, and a request for each k costs AVX2 a twentieth.
template <size_t kRows, class Rows, class T>
HWY_INLINE void MultiplyTile(Rows x, Columns<T> columns, size_t depth, const Sums& sums) {
  constexpr size_t kStep = kPerWord<T>;
  ForTileVectors<kRows, T>(sums, [&](auto& tile, size_t vector) HWY_ATTR {
    ForLines(x, depth, [&](Rows line, size_t begin, size_t count) HWY_ATTR {
      const Columns<T> from = columns.From(begin / kStep, vector);
      size_t k = 0;
      for (; k + kStep <= count; k += kStep) {
        if constexpr (kStep > 1) from.AskAhead(k / kStep);
        tile.template AddElements<0, kStep>(line, k, from, k / kStep);
      }
      if constexpr (kStep == 2) {
        if (k < count) tile.template AddElements<0, 1>(line, k, from, k / kStep);
      }
    });
  });
}

// At most kRows rows, here kMostRows<T>. T: two elements a word at most, or a multiple of them.
template <size_t kRows, class Rows, class T>
HWY_NOINLINE void MultiplyRows(size_t rows, Rows x, Columns<T> columns, size_t depth,
                               const Sums& sums) {
  if (rows == kRows) return MultiplyTile<kRows>(x, columns, depth, sums);
  if constexpr (kRows > 1) MultiplyRows<kRows - 1>(rows, x, columns, depth, sums);
}
template <class Rows, class T>
HWY_INLINE void MultiplyFew(size_t rows, Rows x, Columns<T> columns, size_t depth,
                            const Sums& sums) {
  MultiplyRows<kMostRows<T>>(rows, x, columns, depth, sums);
}
HWY_INLINE void MultiplyFew(size_t rows, FloatRows x, const float* panel, size_t depth,
                            const Sums& sums) {
  MultiplyFew(rows, x, Columns<float>{panel, kPanel}, depth, sums);
}

// What a packed weight has behind the columns of a product: its tiles ask memory for it, each for a
// share, so that the next product's first tile does not wait, nor memory for the other tiles.
struct NextBlock {
  const float* data = nullptr;
  size_t floats = 0;
};

// The columns of a tile of a weight [N][K] of T, all of one panel: packed, or rows of a matrix.
template <class T>
class TileColumns {
 public:
  // Args: of a product.
  template <class Args>
  TileColumns(const Args& a, int64_t col)
      : w_(a.w), layout_{a.w.dtype, a.cols, a.depth}, packed_(a.packed), col_(col) {
    if (packed_) {
      const std::byte* panel = layout_.Panel(w_.data, col / kPackedPanel);
      words_ = reinterpret_cast<const float*>(panel) + col % kPackedPanel;
    } else {
      PanelRows(w_.Row<T>(0), w_.row_stride, col, a.cols, rows_);
    }
  }

  bool packed() const { return packed_; }

  // These three only of a packed weight; Floor of bf16, Sums of int8.
  Columns<T> InPlace(int64_t k) const {
    return {words_ + k / static_cast<int64_t>(kPerWord<T>) * kPackedPanel, kPackedPanel};
  }
  int32_t Floor() const { return layout_.Floor(w_.data, col_ / kPackedPanel); }
  const int32_t* Sums() const { return layout_.Sums(w_.data) + col_; }

  // What a packed weight has behind `count` elements from k on: the next of the panel, or the panel
  // of the next columns.
  HWY_INLINE NextBlock Behind(int64_t k, int64_t count) const {
    if (!packed_ || count == 0) return {};
    const size_t floats = hwy::DivCeil(static_cast<size_t>(count), kPerWord<T>) * kPackedPanel;
    return {InPlace(k).words + floats, floats};
  }

  // `count` elements from k on become a panel; PackedForm of a packed weight, Form of another one.
  // Memory is asked for what comes next: a block is read faster than memory gives it by itself.
  template <class PackedForm, class Form>
  HWY_INLINE void ToPanel(int64_t k, int64_t count, float* panel) const {
    if (!packed_) return Transpose<Form>(k, count, panel);
    const Columns<T> from = InPlace(k);
    UnpackPanel<PackedForm>(
        Columns<T>{from.words, from.stride, Behind(k, count).data, kPackedPanel},
        hwy::DivCeil(static_cast<size_t>(count), kPerWord<T>), panel);
  }
  // Not of a packed weight.
  template <class Form>
  void Transpose(int64_t k, int64_t count, float* panel) const {
    const int64_t ahead = Ahead(w_, {col_, layout_.cols}, {k, layout_.depth}, count);
    TransposePanel<Form>(rows_, k, count, ahead, panel);
  }

 private:
  const Block& w_;
  const PackedLayout layout_;
  const bool packed_;
  const int64_t col_;
  const float* words_ = nullptr;  // of a packed weight
  const T* rows_[kPanel];         // of another one
};

// A single tile, which has those columns from memory itself, and tiles whose columns do not stay in
// the first cache, ask for what they need soon: so far ahead, in floats.
inline constexpr size_t kSoon = 2048;

// Calls tile(row, rows) for each group of rows.
template <class F>
HWY_INLINE void ForTileRows(size_t rows, size_t group, const F& tile) {
  for (size_t row = 0; row < rows; row += group) tile(row, HWY_MIN(group, rows - row));
}

// Calls tile(row, rows, columns) likewise; each reads `words` of the columns, and asks for what it
// needs soon or for its share of the next ones.
template <class T, class F>
HWY_INLINE void ForAskingTiles(size_t rows, size_t group, Columns<T> columns, size_t words,
                               NextBlock next, const F& tile) {
  const size_t tiles = hwy::DivCeil(rows, group);
  const bool soon = tiles == 1 || words * kPanel * sizeof(float) > kPanelBytes;
  if (next.data != nullptr) columns.next_step = next.floats / (soon ? words : tiles * words);
  ForTileRows(rows, group, [&](size_t row, size_t count) HWY_ATTR {
    if (next.data != nullptr) {
      columns.next = soon ? columns.words + kSoon : next.data + row * next.floats / rows;
    }
    tile(row, count, columns);
  });
}

template <class Rows, class T>
HWY_INLINE void Multiply(size_t rows, Rows x, Columns<T> columns, size_t depth, const Sums& sums,
                         NextBlock next = {}) {
  ForAskingTiles(rows, x.group(), columns, hwy::DivCeil(depth, kPerWord<T>), next,
                 [&](size_t r, size_t count, Columns<T> asking)
                     HWY_ATTR { MultiplyFew(count, x.From(r, 0), asking, depth, sums.From(r)); });
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

// What plans of this instruction set depend on.
inline MatmulMachine Machine() {
  constexpr bool kAvx512 = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3;
  return {.panel = kPanel,
          .tile_rows = kTileRows,
          .dots = kAvx512 && HasBf16Dots(),
          .vbmi = kAvx512 && HasVbmi(),
          .threads = ThreadCount()};
}

// Args: of a product.
template <class Args>
MatmulPlan PlanOf(const Args& a) {
  return PlanMatmul({a.rows, a.cols, a.depth, a.x.dtype, a.w.dtype, a.packed}, Machine());
}

// Calls body(rows of the chunk, first row of the chunk, tile) for all tiles of a product, on all
// threads. Groups have nearly equal sizes, `most` rows at most: the chains of a single row are too
// few to keep a CPU busy.
template <class Form, class Body>
HWY_INLINE void ForTiles(const Block& x, int64_t rows, int64_t cols, int64_t depth,
                         const MatmulPlan& plan, size_t most, const Body& body) {
  static thread_local Scratch scratch;
  for (int64_t chunk = 0; chunk < rows; chunk += plan.chunk_rows) {
    const int64_t count = HWY_MIN(plan.chunk_rows, rows - chunk);
    const size_t block = HWY_MIN(plan.block_rows, count);
    const size_t groups = hwy::DivCeil(block, most), group = hwy::DivCeil(block, groups);
    const auto converted = Form::Convert(x, chunk, count, depth, group, scratch);
    const MatmulTiles tiles(count, cols, groups * group, kPanel);
    ParallelFor(tiles.size(), plan.grain, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t i = begin; i < end; ++i) body(converted, chunk, tiles[i]);
    });
  }
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
