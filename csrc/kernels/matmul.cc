#include "kernels/matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// `count` k of a weight from k on, as f32.
template <class T>
Columns<float> AsFloats(const TileColumns<T>& weight, int64_t k, int64_t count, float* panel) {
  if constexpr (kPerWord<T> == 1) {
    if (weight.packed()) return weight.InPlace(k);
  }
  weight.template ToPanel<Floats<Packed<T>>, Floats<T>>(k, count, panel);
  return {panel, kPanel};
}

// As pairs. *floor becomes that of these columns, if it is not below already.
inline Columns<BF16> AsPairs(const TileColumns<BF16>& weight, int64_t k, int64_t count,
                             float* panel, int32_t* floor) {
  if (weight.packed()) {
    *floor = weight.Floor();
    return weight.InPlace(k);
  }
  weight.Transpose<Words<BF16>>(k, count, panel);
  *floor = HWY_MIN(*floor, FloorOfWords(panel, (count + 1) / 2 * kPanel));
  return {panel, kPanel};
}

// Rows of a tile by a block of the columns of a panel, into sums. *floor: see AsPairs.
template <class T, class Rows>
void MultiplyBlock(const TileColumns<T>& weight, const MatmulPlan& plan, Rows x, int64_t rows,
                   Progress k, float* panel, int32_t* floor, const Sums& sums) {
  const int64_t count = HWY_MIN(k.end - k.at, plan.block_depth);
  const NextBlock next = weight.Behind(k.at, count);
  if constexpr (std::is_same_v<Rows, PairRows>) {
    const Columns<BF16> columns = AsPairs(weight, k.at, count, panel, floor);
    MultiplyPairs(rows, x, columns, count, *floor, sums, next);
  } else if (plan.form == MatmulForm::kRegisters) {
    Multiply(rows, x, weight.InPlace(k.at), count, sums, next);
  } else {
    Multiply(rows, x, AsFloats(weight, k.at, count, panel), count, sums);
  }
}

template <class T, class Rows>
void OneTile(const MatmulArgs& a, const MatmulPlan& plan, Rows x, int64_t chunk,
             const MatmulTile& tile) {
  static thread_local Scratch panel_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelBytes / sizeof(float));
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  const TileColumns<T> weight(a, tile.col);
  int32_t floor = std::numeric_limits<int32_t>::max() / 2;
  for (int64_t k = 0; k == 0 || k < a.depth; k += plan.block_depth) {
    MultiplyBlock(weight, plan, x.From(tile.row, k), tile.rows, {k, a.depth}, panel, &floor,
                  {sums, kPanel, k == 0});
  }
  StoreTile<T>(sums, a.bias ? a.bias.Row<T>(0) + tile.col : nullptr, tile, chunk, a.y);
}

template <class T, class Form>
void MatmulOf(const MatmulArgs& a, const MatmulPlan& plan) {
  const size_t most = plan.form == MatmulForm::kRegisters ? kMostRows<T> : kTileRows;
  ForTiles<Form>(a.x, a.rows, a.cols, a.depth, plan, most,
                 [&](typename Form::Rows x, int64_t chunk, const MatmulTile& tile)
                     HWY_ATTR { OneTile<T>(a, plan, x, chunk, tile); });
}

void MatmulAny(const MatmulArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    const MatmulPlan plan = PlanOf(a);
    if constexpr (std::is_same_v<T, BF16> && kMayDot) {
      if (TakesDots(plan.form)) return MatmulOf<T, PairForm<T>>(a, plan);
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
