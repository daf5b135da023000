// Residual, norm and fp8 groups of bf16 rows in one function, by hand: what a row program of the
// three operators is measured against. Not part of the package.
#include <cmath>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fused_by_hand.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/fp8-inl.h"
#include "kernels/simd/quotient-inl.h"
#include "kernels/simd/sum-inl.h"

#ifndef FUSIBLE_BENCHMARKS_FUSED_BY_HAND_ARGS_
#define FUSIBLE_BENCHMARKS_FUSED_BY_HAND_ARGS_
namespace fusible::kernels {

struct HandArgs {  // of one row
  const BF16 *x, *residual, *weight;
  BF16* total;
  E4M3FN* codes;
  float* scales;
  size_t cols;
};

}  // namespace fusible::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

constexpr size_t kQuantGroup = 128;

// The new residual, and the reciprocal root mean square of its row.
float AddAndSum(const HandArgs& a, float eps) {
  const float squares = CanonicalSum(a.cols, [&](auto at) HWY_ATTR {
    Store(Sum(Load(a.x, at), Load(a.residual, at)), a.total, at);
    const Pair total = Load(a.total, at);
    return Mul(total, total);
  });
  return 1.0f / std::sqrt(squares / static_cast<float>(a.cols) + eps);
}

// One group: normed into a buffer that stays in the first cache, then scaled to codes.
void QuantizeGroup(const HandArgs& a, size_t begin, float factor) {
  alignas(64) BF16 normed[kQuantGroup];
  const VF scale_row = hn::Set(DF(), factor);
  hn::Vec<DI> max = hn::Zero(DI());
  for (size_t i = 0; i < kQuantGroup; i += kStep) {
    const Pair scaled = Mul(Load(a.total, Full{begin + i}), scale_row);
    Store(Mul(scaled, Load(a.weight, Full{begin + i})), normed, Full{i});
    const Pair y = Load(normed, Full{i});
    max = hn::Max(max, hn::BitCast(DI(), hn::Abs(y.even)));
    max = hn::Max(max, hn::BitCast(DI(), hn::Abs(y.odd)));
  }
  const float amax = hn::GetLane(hn::BitCast(DF(), hn::MaxOfLanes(DI(), max)));
  const float scale = (amax < 1e-10f ? 1e-10f : amax) / 448.0f;
  a.scales[begin / kQuantGroup] = scale;
  const Quotient<BF16> by{hn::Set(DF(), scale), hn::Set(DF(), 1.0f / scale)};
  for (size_t i = 0; i < kQuantGroup; i += kStep) {
    Store(by(Load(normed, Full{i})), a.codes, Full{begin + i}, Bounded());
  }
}

void FusedRow(const HandArgs& a, float eps) {
  const float factor = AddAndSum(a, eps);
  for (size_t begin = 0; begin < a.cols; begin += kQuantGroup) QuantizeGroup(a, begin, factor);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(FusedRow);

}  // namespace fusible::kernels

// All arrays contiguous: bf16 rows of `cols` (a multiple of 128) elements; scales f32[rows,
// cols/128].
extern "C" __attribute__((visibility("default"))) void fused_by_hand(
    const void* x, const void* residual, const void* weight, void* total, void* codes,
    float* scales, int64_t rows, int64_t cols, float eps) {
  using namespace fusible::kernels;
  for (int64_t r = 0; r < rows; ++r) {
    HWY_DYNAMIC_DISPATCH(FusedRow)
    ({static_cast<const BF16*>(x) + r * cols, static_cast<const BF16*>(residual) + r * cols,
      static_cast<const BF16*>(weight), static_cast<BF16*>(total) + r * cols,
      static_cast<E4M3FN*>(codes) + r * cols, scales + r * (cols / 128), static_cast<size_t>(cols)},
     eps);
  }
}
#endif
