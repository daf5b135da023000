// The canonical sum over a row, the same bits on every instruction set: neighbours first; then, for
// each of the 16 pairs of a group of 32 elements, a binary tree over the groups, low bits of the
// group's number first; then a binary tree over the 16, low bits first. Missing elements count as
// zeros.
#include "kernels/simd/lanes-inl.h"

#if defined(FUSIBLE_KERNELS_SIMD_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FUSIBLE_KERNELS_SIMD_SUM_INL_H_
#undef FUSIBLE_KERNELS_SIMD_SUM_INL_H_
#else
#define FUSIBLE_KERNELS_SIMD_SUM_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

inline constexpr size_t kGroup = 32;           // elements
inline constexpr size_t kSlots = 16 / kLanes;  // vectors that hold a group's 16 pairs
inline constexpr int kTreeLevels = 3;          // 8 groups at a time stay in registers
inline constexpr size_t kTree = kGroup << kTreeLevels;

struct Partial {
  VF slot[kSlots];
};

HWY_INLINE Partial Add(const Partial& a, const Partial& b) {
  Partial sum;
  for (size_t s = 0; s < kSlots; ++s) sum.slot[s] = hn::Add(a.slot[s], b.slot[s]);
  return sum;
}

// Finished subtrees by level, one per set bit of the number of groups so far, as in a binary
// counter.
class PartialStack {
 public:
  HWY_INLINE void Push(Partial partial, int level) {
    const size_t groups = size_t{1} << level;
    for (; (groups_ >> level) & 1; ++level) partial = Add(levels_[level], partial);
    levels_[level] = partial;
    groups_ += groups;
  }

  // The sum of all; groups that are missing from the tree are zeros, and adding them changes
  // nothing.
  HWY_INLINE float Total() const {
    if (groups_ == 0) return 0.0f;
    size_t left = groups_;
    Partial sum = levels_[hwy::Num0BitsBelowLS1Bit_Nonzero64(left)];
    for (left &= left - 1; left != 0; left &= left - 1) {
      sum = Add(levels_[hwy::Num0BitsBelowLS1Bit_Nonzero64(left)], sum);
    }
    alignas(64) float pairs[16];
    for (size_t s = 0; s < kSlots; ++s) hn::Store(sum.slot[s], DF(), pairs + s * kLanes);
    for (size_t width = 1; width < 16; width *= 2) {
      for (size_t i = 0; i < 16; i += 2 * width) pairs[i] += pairs[i + width];
    }
    return pairs[0];
  }

 private:
  Partial levels_[48];
  size_t groups_ = 0;
};

// 2^kLevel groups from element `base` on.
template <int kLevel, class Term>
HWY_INLINE Partial Tree(size_t base, const Term& term) {
  if constexpr (kLevel == 0) {
    Partial group;
    for (size_t s = 0; s < kSlots; ++s) {
      const Pair v = term(Full{base + s * kStep});
      group.slot[s] = hn::Add(v.even, v.odd);
    }
    return group;
  } else {
    const Partial low = Tree<kLevel - 1>(base, term);
    return Add(low, Tree<kLevel - 1>(base + (kGroup << (kLevel - 1)), term));
  }
}

// Zeros for the elements from `count` on.
HWY_INLINE Pair KeepFirst(const Pair& v, size_t count) {
  const VU even = hn::Iota(DU(), 0);
  const VU limit = SetBits(static_cast<uint32_t>(count));
  const VU index = hn::Add(even, even);
  const auto keep_even = hn::RebindMask(DF(), hn::Lt(index, limit));
  const auto keep_odd = hn::RebindMask(DF(), hn::Lt(hn::Add(index, SetBits(1)), limit));
  return {hn::IfThenElseZero(keep_even, v.even), hn::IfThenElseZero(keep_odd, v.odd)};
}

// The last group, of n < 32 elements.
template <class Term>
HWY_INLINE Partial LastGroup(size_t base, size_t n, const Term& term) {
  Partial group;
  for (size_t s = 0; s < kSlots; ++s) {
    const size_t begin = s * kStep;
    if (begin >= n) {
      group.slot[s] = hn::Zero(DF());
      continue;
    }
    const size_t count = HWY_MIN(n - begin, kStep);
    const Pair v = KeepFirst(term(Tail{base + begin, count}), count);
    group.slot[s] = hn::Add(v.even, v.odd);
  }
  return group;
}

// The sum of n terms; term(Full) and term(Tail) give those of a step as a Pair.
template <class Term>
HWY_INLINE float CanonicalSum(size_t n, const Term& term) {
  PartialStack stack;
  size_t i = 0;
  for (; i + kTree <= n; i += kTree) stack.Push(Tree<kTreeLevels>(i, term), kTreeLevels);
  for (; i + kGroup <= n; i += kGroup) stack.Push(Tree<0>(i, term), 0);
  if (i < n) stack.Push(LastGroup(i, n - i, term), 0);
  return stack.Total();
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
