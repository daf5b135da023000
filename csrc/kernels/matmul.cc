#include "kernels/matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// A block of the columns of a tile, all of one panel: packed, or transposed into scratch.
template <class T>
class TileWeight {
 public:
  TileWeight(const MatmulArgs& a, int64_t col)
      : a_(a), col_(col), layout_{a.x.dtype, a.cols, a.depth} {
    if (!a.packed) PanelRows(a.w.Row<T>(0), a.w.row_stride, col, a.cols, rows_);
  }

  // Only of a packed weight.
  Columns<T> InPlace(int64_t k) const { return PackedColumns<T>(layout_, a_.w.data, col_, k); }

  // What a packed weight has behind `count` elements from k on: the next of the panel, or the panel
  // of the next columns.
  NextBlock Behind(int64_t k, int64_t count) const {
    if (!a_.packed || count == 0) return {};
    const size_t floats = hwy::DivCeil(static_cast<size_t>(count), kPerWord<T>) * kPackedPanel;
    return {InPlace(k).words + floats, floats};
  }

  // As f32.
  Columns<float> AsFloats(int64_t k, int64_t count, float* panel) const {
    if (!a_.packed) return Transposed<Floats<T>, float>(k, count, panel);
    const Columns<T> packed = InPlace(k);
    if constexpr (kPerWord<T> == 1) {
      return packed;
    } else {
      const NextBlock next = Behind(k, count);
      UnpackPanel<Floats<Packed<T>>>(
          Columns<T>{packed.words, packed.stride, next.data, kPackedPanel}, (count + 1) / 2, panel);
      return {panel, kPanel};
    }
  }

  // As pairs. *floor becomes that of these columns, if it is not below already.
  Columns<BF16> AsPairs(int64_t k, int64_t count, float* panel, int32_t* floor) const {
    if (a_.packed) {
      *floor = layout_.Floor(a_.w.data, col_ / kPackedPanel);
      return {InPlace(k).words, kPackedPanel};
    }
    const auto pairs = Transposed<Words<T>, BF16>(k, count, panel);
    *floor = HWY_MIN(*floor, FloorOfWords(panel, (count + 1) / 2 * kPanel));
    return pairs;
  }

 private:
  template <class Form, class Out>
  Columns<Out> Transposed(int64_t k, int64_t count, float* panel) const {
    const int64_t ahead = Ahead(a_.w, {col_, a_.cols}, {k, a_.depth}, count);
    TransposePanel<Form>(rows_, k, count, ahead, panel);
    return {panel, kPanel};
  }

  const MatmulArgs& a_;
  const int64_t col_;
  const PackedLayout layout_;
  const T* rows_[kPanel];
};

// Rows of a tile by a block of the columns of a panel, into sums. *floor: see AsPairs.
template <class T, class Rows>
void MultiplyBlock(const TileWeight<T>& weight, const MatmulPlan& plan, Rows x, int64_t rows,
                   Progress k, float* panel, int32_t* floor, const Sums& sums) {
  const int64_t count = HWY_MIN(k.end - k.at, plan.block_depth);
  const NextBlock next = weight.Behind(k.at, count);
  if constexpr (std::is_same_v<Rows, PairRows>) {
    const Columns<BF16> columns = weight.AsPairs(k.at, count, panel, floor);
    MultiplyPairs(rows, x, columns, count, *floor, sums, next);
  } else if (plan.form == MatmulForm::kRegisters) {
    Multiply(rows, x, weight.InPlace(k.at), count, sums, next);
  } else {
    Multiply(rows, x, weight.AsFloats(k.at, count, panel), count, sums);
  }
}

template <class T, class Rows>
void OneTile(const MatmulArgs& a, const MatmulPlan& plan, Rows x, int64_t chunk,
             const MatmulTile& tile) {
  static thread_local Scratch panel_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelBytes / sizeof(float));
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  const TileWeight<T> weight(a, tile.col);
  int32_t floor = std::numeric_limits<int32_t>::max() / 2;
  for (int64_t k = 0; k == 0 || k < a.depth; k += plan.block_depth) {
    MultiplyBlock(weight, plan, x.From(tile.row, k), tile.rows, {k, a.depth}, panel, &floor,
                  {sums, kPanel, k == 0});
  }
  StoreTile<T>(sums, a.bias ? a.bias.Row<T>(0) + tile.col : nullptr, tile, chunk, a.y);
}

template <class T, class Form>
void MatmulOf(const MatmulArgs& a, const MatmulPlan& plan) {
  ForTiles<Form>(a.x, a.rows, a.cols, a.depth, plan,
                 [&](typename Form::Rows x, int64_t chunk, const MatmulTile& tile)
                     HWY_ATTR { OneTile<T>(a, plan, x, chunk, tile); });
}

void MatmulAny(const MatmulArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    constexpr bool kPairs = std::is_same_v<T, BF16>;
    const MatmulPlan plan = PlanMatmul({.rows = a.rows,
                                        .cols = a.cols,
                                        .depth = a.depth,
                                        .bytes = sizeof(T),
                                        .packed = a.packed,
                                        .pairs = kPairs},
                                       Machine());
    if constexpr (kPairs && kMayDot) {
      if (plan.form == MatmulForm::kDots) return MatmulOf<T, PairForm<T>>(a, plan);
    }
    MatmulOf<T, FloatForm<T>>(a, plan);
  });
}

MatmulMachine MachineHere() { return Machine(); }

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(MatmulAny);
HWY_EXPORT(MachineHere);

MatmulMachine ThisMachine() { return HWY_DYNAMIC_DISPATCH(MachineHere)(); }

void Matmul(const MatmulArgs& args) { HWY_DYNAMIC_DISPATCH(MatmulAny)(args); }

}  // namespace fusible::kernels
#endif
