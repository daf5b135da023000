#include "kernels/int8_scaled_mm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8_scaled_mm.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/bytes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

using Args = Int8ScaledMmArgs;

// The columns of a tile, all of one panel: packed, or transposed into scratch.
class CodeColumns {
 public:
  CodeColumns(const Args& a, int64_t col) : codes_(a, col) {
    const size_t count = HWY_MIN(a.cols - col, int64_t{kPanel});
    std::memcpy(scales_, a.w_scale.Row<float>(0) + col, count * sizeof(float));
    if (!a.packed) return;
    const int32_t* sums = codes_.Sums();
    for (size_t c = 0; c < kPanel; ++c) offsets_[c] = kByteOffset * static_cast<uint32_t>(sums[c]);
  }

  // `count` k from k on. Offset: whether products will be by rows that are offset.
  template <bool kOffset>
  Columns<I8> At(int64_t k, int64_t count, float* panel) {
    if (codes_.packed()) return codes_.InPlace(k);
    codes_.Transpose<Words<I8>>(k, count, panel);
    const Columns<I8> columns = {panel, kPanel};
    if constexpr (kOffset) AddOffsets(columns, hwy::DivCeil(count, kPerWord<I8>), offsets_);
    return columns;
  }

  // Sums of a row become f32: less the offset, times x_scale, times w_scale.
  template <bool kOffset>
  HWY_INLINE void Scale(VF x_scale, float* sums) const {
    for (size_t c = 0; c < kPanel; c += kLanes) {
      VU sum = ToBits(hn::Load(DF(), sums + c));
      if constexpr (kOffset) sum = hn::Sub(sum, hn::Load(DU(), offsets_ + c));
      const VF exact = hn::ConvertTo(DF(), hn::BitCast(DI(), sum));
      hn::Store(hn::Mul(hn::Mul(exact, x_scale), hn::Load(DF(), scales_ + c)), DF(), sums + c);
    }
  }

 private:
  const TileColumns<I8> codes_;
  alignas(64) float scales_[kPanel] = {};
  alignas(64) uint32_t offsets_[kPanel] = {};
};

template <class Rows>
void CodeTile(const Args& a, const MatmulPlan& plan, Rows x, int64_t chunk,
              const MatmulTile& tile) {
  constexpr bool kOffset = Rows::kOffset != 0;
  static thread_local Scratch panel_scratch, sums_scratch;
  float* panel = panel_scratch.Floats(kPanelBytes / sizeof(float));
  float* sums = sums_scratch.Floats(tile.rows * kPanel);
  CodeColumns columns(a, tile.col);
  for (int64_t k = 0; k == 0 || k < a.depth; k += plan.block_depth) {
    const int64_t count = HWY_MIN(a.depth - k, plan.block_depth);
    MultiplyCodes(tile.rows, x.From(tile.row, k / kPerWord<I8>),
                  columns.template At<kOffset>(k, count, panel), hwy::DivCeil(count, kPerWord<I8>),
                  {sums, kPanel, k == 0});
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const VF x_scale = hn::Set(DF(), *a.x_scale.Row<float>(chunk + tile.row + r));
    columns.template Scale<kOffset>(x_scale, sums + r * kPanel);
  }
  const float* bias = a.bias ? a.bias.Row<float>(0) + tile.col : nullptr;
  VisitFloat(a.y.dtype,
             [&](auto type) HWY_ATTR { StoreTile<decltype(type)>(sums, bias, tile, chunk, a.y); });
}

template <class Form>
void MmOf(const Args& a, const MatmulPlan& plan) {
  ForTiles<Form>(a.x, a.rows, a.cols, a.depth, plan, kTileRows,
                 [&](typename Form::Rows x, int64_t chunk, const MatmulTile& tile)
                     HWY_ATTR { CodeTile(a, plan, x, chunk, tile); });
}

void Int8ScaledMmAny(const Args& a) {
  const MatmulPlan plan = PlanOf(a);
  if constexpr (kMayVnni) {
    if (HasVnni()) return MmOf<CodeForm<OffsetRows>>(a, plan);
  }
  MmOf<CodeForm<ShortRows>>(a, plan);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(Int8ScaledMmAny);

void Int8ScaledMm(const Int8ScaledMmArgs& args) { HWY_DYNAMIC_DISPATCH(Int8ScaledMmAny)(args); }

}  // namespace fusible::kernels
#endif
