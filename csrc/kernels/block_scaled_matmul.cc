#include "kernels/block_scaled_matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scaled_matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/panels-inl.h"

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

template <class T>
void ScaledTile(const Args& a, FloatRows x, int64_t chunk, const MatmulTile& tile) {
  static thread_local Scratch panel_scratch, dots_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelDepth * kPanel);
  float* dots = dots_scratch.Floats(tile.rows * kPanel);
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  std::memset(sums, 0, tile.rows * kPanel * sizeof(float));
  const T* weights[kPanel];
  PanelRows(a.w.Row<T>(0), a.w.row_stride, tile.col, a.cols, weights);
  const float* w_scales = a.w_scale.Row<float>(tile.col / kScaleBlock);
  for (int64_t k = 0; k < a.depth; k += a.group_size) {
    const int64_t ahead = Ahead(a.w, {tile.col, a.cols}, {k, a.depth}, a.group_size);
    PackPanel(weights, k, a.group_size, ahead, panel);
    Multiply(tile.rows, x.From(tile.row, k), panel, a.group_size, {dots, kPanel, true});
    AddScaled(a, chunk + tile.row, tile.rows, k / a.group_size, w_scales[k / kScaleBlock], dots,
              sums);
  }
  const float* bias = a.bias ? a.bias.Row<float>(0) + tile.col : nullptr;
  VisitFloat(a.y.dtype,
             [&](auto type) HWY_ATTR { StoreTile<decltype(type)>(sums, bias, tile, chunk, a.y); });
}

void BlockScaledMatmulAny(const Args& a) {
  VisitFp8(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    ForTiles<T>(a.x, a.rows, a.cols, a.depth,
                [&](FloatRows x, int64_t chunk, const MatmulTile& tile)
                    HWY_ATTR { ScaledTile<T>(a, x, chunk, tile); });
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
