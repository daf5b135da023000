#include "kernels/matmul.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

template <class T>
void OneTile(const MatmulArgs& a, FloatRows x, int64_t chunk, const MatmulTile& tile) {
  static thread_local Scratch panel_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelDepth * kPanel);
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  const T* weights[kPanel];
  PanelRows(a.w.Row<T>(0), a.w.row_stride, tile.col, a.cols, weights);
  for (int64_t k = 0; k == 0 || k < a.depth; k += kPanelDepth) {
    const int64_t count = HWY_MIN(a.depth - k, kPanelDepth);
    const int64_t ahead = Ahead(a.w, {tile.col, a.cols}, {k, a.depth}, kPanelDepth);
    PackPanel(weights, k, count, ahead, panel);
    Multiply(tile.rows, x.From(tile.row, k), panel, count, {sums, kPanel, k == 0});
  }
  StoreTile<T>(sums, a.bias ? a.bias.Row<T>(0) + tile.col : nullptr, tile, chunk, a.y);
}

void MatmulAny(const MatmulArgs& a) {
  VisitFloat(a.x.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    ForTiles<T>(a.x, a.rows, a.cols, a.depth,
                [&](FloatRows x, int64_t chunk, const MatmulTile& tile)
                    HWY_ATTR { OneTile<T>(a, x, chunk, tile); });
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(MatmulAny);

void Matmul(const MatmulArgs& args) { HWY_DYNAMIC_DISPATCH(MatmulAny)(args); }

}  // namespace fusible::kernels
#endif
