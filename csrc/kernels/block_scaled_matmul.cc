#include "kernels/block_scaled_matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scaled_matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/codes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

using Args = BlockScaledMatmulArgs;

// What the dot products of groups from `k` to `end` are multiplied with, row by row of the tile.
void GroupScales(const Args& a, int64_t row, const MatmulTile& tile, int64_t k, int64_t end,
                 float* HWY_RESTRICT scales) {
  const float* w_scales = a.w_scale.Row<float>(tile.col / kScaleBlock);
  for (int64_t group = k / a.group_size; k < end; k += a.group_size, ++group, scales += tile.rows) {
    for (int64_t r = 0; r < tile.rows; ++r) {
      scales[r] = w_scales[k / kScaleBlock];
      if (!a.x_scale) continue;
      scales[r] *= a.x_scale.Row<float>(row + r)[group * a.x_scale.stride];
    }
  }
}

// `count` k of a weight from k on, decoded. Rows: as they are multiplied.
template <class Rows, class T>
void Decode(const TileColumns<T>& weight, int64_t k, int64_t count, float* panel) {
  using Form = std::conditional_t<std::is_same_v<Rows, PairRows>, CodePairs<T>, Floats<T>>;
  weight.template ToPanel<Form, Form>(k, count, panel);
}

// Whether dot products have the bits of fma for these rows.
inline bool AreExact(FloatGroups, int64_t) { return true; }
inline bool AreExact(PairRows x, int64_t rows) { return DotIsExact(x.Floor(rows), kCodeFloor); }

// The rows of a tile by its columns, decoded group by group for all of them.
template <class T, class Rows>
void MultiplyPanels(const Args& a, const TileColumns<T>& weight, Rows x, int64_t row,
                    const MatmulTile& tile, float* sums, float* scales) {
  static thread_local Scratch panel_scratch;
  float* panel = panel_scratch.Floats(kPanelDepth * kPanel);
  const bool exact = AreExact(x, tile.rows);
  const ScaledSums to = {sums, scales, static_cast<size_t>(tile.rows)};
  for (int64_t k = 0; k < a.depth; k += a.group_size) {
    const auto count = static_cast<size_t>(HWY_MIN(a.group_size, a.depth - k));
    Decode<Rows>(weight, k, count, panel);
    GroupScales(a, row, tile, k, k + 1, scales);
    if (exact) {
      AddGroups(tile.rows, x.From(0, k), PanelColumns<true>{panel}, {count, count}, to);
    } else {
      AddGroups(tile.rows, x.From(0, k), PanelColumns<false>{panel}, {count, count}, to);
    }
  }
}

// The same for a packed weight, decoded in registers again for each tile of rows.
template <class T, class Rows>
void MultiplyInPlace(const Args& a, const TileColumns<T>& weight, Rows x, int64_t row,
                     const MatmulTile& tile, float* sums, float* scales) {
  const Groups groups = {static_cast<size_t>(a.depth), static_cast<size_t>(a.group_size)};
  GroupScales(a, row, tile, 0, a.depth, scales);
  const ScaledSums to = {sums, scales, static_cast<size_t>(tile.rows)};
  AddGroups(tile.rows, x, CodeColumns<T>{weight.InPlace(0).words}, groups, to);
}

// in_place: a packed weight is decoded in registers.
template <class T, class Rows>
void ScaledTile(const Args& a, bool in_place, Rows x, int64_t chunk, const MatmulTile& tile) {
  static thread_local Scratch scratch;
  const int64_t groups = in_place ? (a.depth + a.group_size - 1) / a.group_size : 1;
  float* sums = scratch.Floats(tile.rows * (kPanel + groups));
  float* scales = sums + tile.rows * kPanel;
  std::memset(sums, 0, tile.rows * kPanel * sizeof(float));
  const TileColumns<T> weight(a, tile.col);
  const Rows rows = x.From(tile.row, 0);
  if (in_place && AreExact(rows, tile.rows)) {
    if constexpr (kMayVbmi) {
      MultiplyInPlace(a, weight, rows, chunk + tile.row, tile, sums, scales);
    }
  } else {
    MultiplyPanels(a, weight, rows, chunk + tile.row, tile, sums, scales);
  }
  const float* bias = a.bias ? a.bias.Row<float>(0) + tile.col : nullptr;
  VisitFloat(a.y.dtype,
             [&](auto type) HWY_ATTR { StoreTile<decltype(type)>(sums, bias, tile, chunk, a.y); });
}

template <class T, class Form>
void ScaledOf(const Args& a, const MatmulPlan& plan) {
  const bool in_place = DecodesInRegisters(plan.form);
  ForTiles<Form>(a.x, a.rows, a.cols, a.depth, plan, kTileRows,
                 [&](typename Form::Rows x, int64_t chunk, const MatmulTile& tile)
                     HWY_ATTR { ScaledTile<T>(a, in_place, x, chunk, tile); });
}

// T: of the weight. X: of the rows.
template <class T, class X>
void ScaledBy(const Args& a) {
  constexpr bool kPairs = !std::is_same_v<X, float> && !std::is_same_v<X, F16>;
  const MatmulPlan plan = PlanOf(a);
  if constexpr (kPairs && kMayDot) {
    if (TakesDots(plan.form)) return ScaledOf<T, PairForm<X>>(a, plan);
  }
  ScaledOf<T, FloatForm<X>>(a, plan);
}

void BlockScaledMatmulAny(const Args& a) {
  VisitFp8(a.w.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if (a.x.dtype == a.w.dtype) return ScaledBy<T, T>(a);
    VisitFloat(a.x.dtype, [&](auto of_x) HWY_ATTR { ScaledBy<T, decltype(of_x)>(a); });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(BlockScaledMatmulAny);

void BlockScaledMatmul(const BlockScaledMatmulArgs& args) {
  HWY_DYNAMIC_DISPATCH(BlockScaledMatmulAny)(args);
}

}  // namespace fusible::kernels
#endif
