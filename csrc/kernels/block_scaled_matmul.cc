#include "kernels/block_scaled_matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scaled_matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/pairs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

using Args = BlockScaledMatmulArgs;

// sums[r] = fma(dots[r], x_scale * w_scale, sums[r]) for the rows from `row` on.
void AddScaled(const Args& a, int64_t row, int64_t rows, int64_t step, float w_scale,
               const float* HWY_RESTRICT dots, float* HWY_RESTRICT sums) {
  for (int64_t r = 0; r < rows; ++r) {
    const float x_scale = a.x_scale.Row<float>(row + r)[step * a.x_scale.stride];
    const VF scale = hn::Set(DF(), x_scale * w_scale);
    for (size_t i = r * kPanel; i < (r + 1) * kPanel; i += kLanes) {
      const VF sum = hn::MulAdd(hn::Load(DF(), dots + i), scale, hn::Load(DF(), sums + i));
      hn::Store(sum, DF(), sums + i);
    }
  }
}

// dots = rows of a tile by the columns from tile.col on, of one step of k from `k` on.
template <class T, class Rows>
void MultiplyStep(const Args& a, const T* const* weights, Rows x, const MatmulTile& tile, int64_t k,
                  float* panel, float* dots) {
  constexpr bool kPairs = std::is_same_v<Rows, PairRows>;
  using Form = std::conditional_t<kPairs, CodePairs<T>, Floats<T>>;
  using Out = std::conditional_t<kPairs, BF16, float>;
  if (a.packed) {
    const PackedLayout layout = {a.w.dtype, a.cols, a.depth};
    const Columns<T> packed = PackedColumns<T>(layout, a.w.data, tile.col, k);
    UnpackPanel<Form>(packed, a.group_size / kPerWord<T>, panel);
  } else {
    const int64_t ahead = Ahead(a.w, {tile.col, a.cols}, {k, a.depth}, a.group_size);
    TransposePanel<Form>(weights, k, a.group_size, ahead, panel);
  }
  const Columns<Out> columns = {panel, kPanel};
  const Sums sums = {dots, kPanel, true};
  if constexpr (kPairs) {
    MultiplyPairs(tile.rows, x.From(tile.row, k), columns, a.group_size, kCodeFloor, sums);
  } else {
    Multiply(tile.rows, x.From(tile.row, k), columns, a.group_size, sums);
  }
}

template <class T, class Rows>
void ScaledTile(const Args& a, Rows x, int64_t chunk, const MatmulTile& tile) {
  static thread_local Scratch panel_scratch, dots_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelDepth * kPanel);
  float* dots = dots_scratch.Floats(tile.rows * kPanel);
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  std::memset(sums, 0, tile.rows * kPanel * sizeof(float));
  const T* weights[kPanel];
  if (!a.packed) PanelRows(a.w.Row<T>(0), a.w.row_stride, tile.col, a.cols, weights);
  const float* w_scales = a.w_scale.Row<float>(tile.col / kScaleBlock);
  for (int64_t k = 0; k < a.depth; k += a.group_size) {
    MultiplyStep(a, weights, x, tile, k, panel, dots);
    AddScaled(a, chunk + tile.row, tile.rows, k / a.group_size, w_scales[k / kScaleBlock], dots,
              sums);
  }
  const float* bias = a.bias ? a.bias.Row<float>(0) + tile.col : nullptr;
  VisitFloat(a.y.dtype,
             [&](auto type) HWY_ATTR { StoreTile<decltype(type)>(sums, bias, tile, chunk, a.y); });
}

template <class T, class Form>
void ScaledOf(const Args& a, const MatmulPlan& plan) {
  ForTiles<Form>(a.x, a.rows, a.cols, a.depth, plan,
                 [&](typename Form::Rows x, int64_t chunk, const MatmulTile& tile)
                     HWY_ATTR { ScaledTile<T>(a, x, chunk, tile); });
}

void BlockScaledMatmulAny(const Args& a) {
  const MatmulPlan plan = PlanMatmul({.rows = a.rows,
                                      .cols = a.cols,
                                      .depth = a.depth,
                                      .bytes = 1,
                                      .packed = a.packed,
                                      .pairs = true},
                                     Machine());
  VisitFp8(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    if constexpr (kMayDot) {
      if (plan.form == MatmulForm::kDots) return ScaledOf<T, PairForm<T>>(a, plan);
    }
    ScaledOf<T, FloatForm<T>>(a, plan);
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
