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

// The sums of a step's neighbours: of one held in order, those of its first half in the even lanes,
// and those of its second half in the odd ones.
HWY_INLINE VF SumNeighbours(const Pair& v) { return hn::Add(v.even, v.odd); }
#if HWY_TARGET != HWY_SCALAR
HWY_INLINE VF SumNeighbours(const InOrder& v) {
  return hn::Add(hn::OddEven(v.high, v.low), hn::Shuffle2301(hn::OddEven(v.low, v.high)));
}
#endif

// The sum of a vector of such sums, neighbours first. S: how the steps were held.
template <class S, class V>
HWY_INLINE float SumLanes(V v) {
#if HWY_TARGET != HWY_SCALAR
  constexpr bool kInOrder = std::is_same_v<S, InOrder>;
  if constexpr (!kInOrder) v = hn::Add(v, hn::Shuffle2301(v));
  v = hn::Add(v, hn::Shuffle1032(v));
  if constexpr (kLanes >= 8) v = hn::Add(v, hn::SwapAdjacentBlocks(v));
  if constexpr (kLanes >= 16) v = hn::Add(v, hn::ReverseBlocks(DF(), v));
  if constexpr (kInOrder) v = hn::Add(v, hn::Shuffle2301(v));
#endif
  return hn::GetLane(v);
}

template <class S>
HWY_INLINE float SumPairs(const Partial& pairs) {
  float sums[kSlots];
  for (size_t s = 0; s < kSlots; ++s) sums[s] = SumLanes<S>(pairs.slot[s]);
  for (size_t width = 1; width < kSlots; width *= 2) {
    for (size_t s = 0; s < kSlots; s += 2 * width) sums[s] += sums[s + width];
  }
  return sums[0];
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
  // nothing. S: how the steps were held.
  template <class S>
  HWY_INLINE float Total() const {
    if (groups_ == 0) return 0.0f;
    size_t left = groups_;
    Partial sum = levels_[hwy::Num0BitsBelowLS1Bit_Nonzero64(left)];
    for (left &= left - 1; left != 0; left &= left - 1) {
      sum = Add(levels_[hwy::Num0BitsBelowLS1Bit_Nonzero64(left)], sum);
    }
    return SumPairs<S>(sum);
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
      group.slot[s] = SumNeighbours(term(Full{base + s * kStep}));
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
HWY_INLINE InOrder KeepFirst(const InOrder& v, size_t count) {
  const size_t low = HWY_MIN(count, kLanes);
  return {hn::IfThenElseZero(hn::FirstN(DF(), low), v.low),
          hn::IfThenElseZero(hn::FirstN(DF(), count - low), v.high)};
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
    group.slot[s] = SumNeighbours(KeepFirst(term(Tail{base + begin, count}), count));
  }
  return group;
}

// The groups of what is left, at most one tree of each level below; returns where they end.
template <int kLevel, class Term>
HWY_INLINE size_t PushTrees(PartialStack& stack, size_t i, size_t n, const Term& term) {
  constexpr size_t kElements = kGroup << kLevel;
  if (i + kElements <= n) {
    stack.Push(Tree<kLevel>(i, term), kLevel);
    i += kElements;
  }
  if constexpr (kLevel > 0) i = PushTrees<kLevel - 1>(stack, i, n, term);
  return i;
}

// The sum of n terms; term(Full) and term(Tail) give those of a step. Asks for memory a tree at a
// time: asking with each step, inside of a tree, made sums take 1.3 to 1.9 times as long.
template <class Term>
HWY_INLINE float CanonicalSum(size_t n, const Term& term, const Writing& asks = {}) {
  PartialStack stack;
  size_t i = 0;
  for (; i + kTree <= n; i += kTree) {
    AskFor(asks, static_cast<int64_t>(i), kTree);
    stack.Push(Tree<kTreeLevels>(i, term), kTreeLevels);
  }
  AskFor(asks, static_cast<int64_t>(i), static_cast<int64_t>(n - i));
  i = PushTrees<kTreeLevels - 1>(stack, i, n, term);
  if (i < n) stack.Push(LastGroup(i, n - i, term), 0);
  return stack.Total<decltype(term(Full{0}))>();
}

inline constexpr int64_t kShortRow = 1024;  // elements

// Calls write(r, sum(r)) for every row; `ahead`: sum(r + 1) comes before write(r). The division and
// the root at the end of a sum run beside that. In cache rms_norm takes 0.85 of the time that way
// on rows of 576, 0.97 on rows of 4096; from memory, on long rows, 1.3 times as long (Zen 4; a
// Sapphire Rapids takes as long either way).
template <class SumOf, class Write>
HWY_INLINE void ForRows(int64_t rows, bool ahead, const SumOf& sum, const Write& write) {
  if (rows == 0) return;
  if (!ahead) {
    for (int64_t r = 0; r < rows; ++r) write(r, sum(r));
    return;
  }
  auto early = sum(0);
  for (int64_t r = 0; r + 1 < rows; ++r) {
    const auto next = sum(r + 1);
    write(r, early);
    early = next;
  }
  write(rows - 1, early);
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
