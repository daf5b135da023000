// The softmax of a block of keys, and how those of several blocks become one.
#include <algorithm>
#include <limits>

#include "kernels/attention_plan.h"
#include "kernels/simd/math-inl.h"
#include "kernels/simd/panels-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_PARTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_PARTS_INL_H_
#undef FUSIBLE_KERNELS_SIMD_PARTS_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_PARTS_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The softmax of some keys for each row of a task: maximum, sum of exponentials, weighted values.
struct Part {
  float* max;
  float* sum;
  float* values;  // [rows][stride]
  int64_t stride;

  Sums At(int64_t row, int64_t col) const {
    return {values + row * stride + col, static_cast<size_t>(stride), false};
  }

  static int64_t Stride(const Task& task) { return hwy::RoundUpTo(task.a->value_size, kPanel); }
  static int64_t Floats(const Task& task) {
    return hwy::RoundUpTo(task.rows() * (Stride(task) + 2), 16);
  }
  static Part In(float* memory, const Task& task) {
    float* max = memory + task.rows() * Stride(task);
    return {max, max + task.rows(), memory, Stride(task)};
  }
};

// A maximum that can be subtracted: that of no finite score would turn exp(-inf) into NaN.
inline float Subtrahend(float max) {
  return max == -std::numeric_limits<float>::infinity() ? 0.0f : max;
}

// e^x for x <= 0, and 0 where that is no normal f32; a NaN stays.
HWY_INLINE VF Weight(VF x) {
  const Reduced e = Reduce(AtLeast(x, -88.0f));
  return hn::Mul(e.power, PowerOfTwo(e.biased));
}

// Scores of a block, of which some keys count; outside of them there may be anything.
struct RowScores {
  float* scores;
  VF scale;
  Range keys;

  HWY_INLINE VF At(int64_t i) const {
    const VF score = hn::Mul(hn::Load(DF(), scores + i), scale);
    constexpr int64_t kNext = kLanes;
    if (HWY_LIKELY(i >= keys.begin && i + kNext <= keys.end)) return score;
    const VU count = SetBits(keys.end - keys.begin);
    const VU index = SetBits(static_cast<uint32_t>(i - keys.begin));
    const auto inside = hn::Lt(hn::Add(hn::Iota(DU(), 0), index), count);
    return hn::IfThenElse(hn::RebindMask(DF(), inside), score,
                          SetF(-std::numeric_limits<float>::infinity()));
  }
};

inline void CapScores(const AttentionArgs& a, Range vectors, float* scores) {
  const VF scale = SetF(a.scale), cap = SetF(a.softcap);
  for (int64_t i = vectors.begin; i < vectors.end; i += kLanes) {
    const VF score = hn::Mul(hn::Load(DF(), scores + i), scale);
    hn::Store(hn::Mul(cap, Tanh(hn::Div(score, cap))), DF(), scores + i);
  }
}

// Scores become exp(score - maximum), and 0 in the vectors that `keys` fill only in part.
inline void SoftmaxRow(const AttentionArgs& a, Range keys, float* scores, float* max, float* sum) {
  constexpr int64_t kNext = kLanes;
  const Range vectors = {keys.begin - keys.begin % kNext, keys.end};
  if (a.softcap > 0) CapScores(a, vectors, scores);
  const RowScores row = {scores, SetF(a.softcap > 0 ? 1.0f : a.scale), keys};
  VF largest = SetF(-std::numeric_limits<float>::infinity());
  for (int64_t i = vectors.begin; i < vectors.end; i += kNext) {
    largest = hn::Max(largest, row.At(i));
  }
  *max = hn::GetLane(hn::MaxOfLanes(DF(), largest));
  const VF least = SetF(Subtrahend(*max));
  VF total = hn::Zero(DF());
  for (int64_t i = vectors.begin; i < vectors.end; i += kNext) {
    const VF weight = Weight(hn::Sub(row.At(i), least));
    total = hn::Add(total, weight);
    hn::Store(weight, DF(), scores + i);
  }
  *sum = hn::GetLane(hn::SumOfLanes(DF(), total));
}

// Adds the part of a block to that of the blocks before it.
inline void Merge(const Task& task, int64_t block, const Part& part, const Part& into) {
  for (int64_t r = 0; r < task.rows(); ++r) {
    if (task.VisibleIn(block, r).empty()) continue;
    const float old_max = into.max[r], new_max = part.max[r];
    // One of the two keeps its size. Both are infinite where no score was finite so far.
    const float apart = old_max == new_max ? 0.0f : old_max - new_max;
    const float shrink = hn::GetLane(Exp(hn::Neg(hn::Abs(SetF(apart)))));
    const float keep_old = old_max >= new_max ? 1.0f : shrink;
    const float keep_new = old_max >= new_max ? shrink : 1.0f;
    into.max[r] = std::max(old_max, new_max);
    into.sum[r] = into.sum[r] * keep_old + part.sum[r] * keep_new;
    float* HWY_RESTRICT sums = into.values + r * into.stride;
    const float* HWY_RESTRICT add = part.values + r * part.stride;
    for (int64_t i = 0; i < into.stride; i += kLanes) {
      const VF kept = hn::Mul(hn::Load(DF(), sums + i), SetF(keep_old));
      hn::Store(hn::MulAdd(hn::Load(DF(), add + i), SetF(keep_new), kept), DF(), sums + i);
    }
  }
}

inline void Clear(const Task& task, const Part& part) {
  std::fill_n(part.max, task.rows(), -std::numeric_limits<float>::infinity());
  std::fill_n(part.sum, task.rows(), 0.0f);
  std::fill_n(part.values, task.rows() * part.stride, 0.0f);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
