#include "kernels/sampling.h"

#include <cstring>

#include "kernels/sampling_plan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sampling.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/select-inl.h"
#include "kernels/simd/sum-inl.h"
#include "kernels/simd/weight-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

HWY_INLINE Pair Present(const Pair& v, Full) { return v; }
HWY_INLINE Pair Present(const Pair& v, Tail at) { return KeepFirst(v, at.count); }

HWY_INLINE VU Integers(VF weights) {
  return hn::BitCast(DU(), hn::ConvertTo(DI(), hn::Mul(weights, SetF(kUnit))));
}

// Sums the integers of weights as halves of 15 bits, of which a lane holds many.
class IntegerSum {
 public:
  HWY_INLINE IntegerSum() : low_(hn::Zero(DU())), high_(hn::Zero(DU())) {}

  HWY_INLINE void Add(const Pair& weights) {
    const VU even = Integers(weights.even), odd = Integers(weights.odd);
    const VU low = SetBits((1 << 15) - 1);
    low_ = hn::Add(low_, hn::Add(hn::And(even, low), hn::And(odd, low)));
    high_ = hn::Add(high_, hn::Add(hn::ShiftRight<15>(even), hn::ShiftRight<15>(odd)));
    if (++steps_ == kMostSteps) Empty();
  }
  HWY_INLINE uint64_t Total() {
    Empty();
    return total_;
  }

 private:
  static constexpr int kMostSteps = 1 << 15;  // each adds up to 2^16 to a lane

  HWY_INLINE void Empty() {
    alignas(64) uint32_t low[kLanes], high[kLanes];
    hn::Store(low_, DU(), low);
    hn::Store(high_, DU(), high);
    for (size_t i = 0; i < kLanes; ++i) total_ += low[i] + (uint64_t{high[i]} << 15);
    low_ = high_ = hn::Zero(DU());
    steps_ = 0;
  }

  VU low_, high_;
  int steps_ = 0;
  uint64_t total_ = 0;
};

// Writes the weights of a row; returns the sum of their integers.
template <class T>
uint64_t Weigh(const T* x, size_t n, float largest, float temperature, float* weights) {
  const VF max = SetF(largest), divisor = SetF(temperature);
  const bool divides = temperature != 1;
  IntegerSum sum;
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Load(x, at);
    Pair gap = {hn::Sub(v.even, max), hn::Sub(v.odd, max)};
    if (divides) gap = Div(gap, divisor);
    const Pair weight = Weight(gap);
    Store(weight, weights, at);
    sum.Add(Present(weight, at));
  });
  return sum.Total();
}

// Weights among which a sum is reached, in any order, zeros behind them up to a whole vector.
struct Candidates {
  float* weights;
  size_t count = 0;
  float least = 2, greatest = 0;
};

// Those of `from` that lie from `low` to below `high`. `to` may be `from`, and has room for one
// vector more than there can be.
Candidates KeepBetween(const float* from, size_t n, float low, float high, float* to) {
  const VF lowest = SetF(low), end = SetF(high);
  Candidates kept{to};
  VF least = SetF(kept.least), greatest = SetF(kept.greatest);
  for (size_t i = 0; i < n; i += kLanes) {
    const VF v = hn::LoadU(DF(), from + i);
    const auto keep = hn::And(hn::Ge(v, lowest), hn::Lt(v, end));
    if (hn::AllFalse(DF(), keep)) continue;
    // Not CompressStore: masked stores are microcode on Zen, 10 times slower.
    hn::StoreU(hn::Compress(v, keep), DF(), to + kept.count);
    kept.count += hn::CountTrue(DF(), keep);
    least = hn::Min(least, hn::IfThenElse(keep, v, least));
    greatest = hn::Max(greatest, hn::IfThenElseZero(keep, v));
  }
  hn::StoreU(hn::Zero(DF()), DF(), to + kept.count);
  kept.least = hn::GetLane(hn::MinOfLanes(DF(), least));
  kept.greatest = hn::GetLane(hn::MaxOfLanes(DF(), greatest));
  return kept;
}

uint64_t SumFrom(const Candidates& c, float low) {
  const VF lowest = SetF(low);
  IntegerSum sum;
  for (size_t i = 0; i < c.count; i += kLanes) {
    const VF v = hn::LoadU(DF(), c.weights + i);
    sum.Add({hn::IfThenElseZero(hn::Ge(v, lowest), v), hn::Zero(DF())});
  }
  return sum.Total();
}

// Where the largest weights, in order, reach the sum `wanted`, which is at most `total`, that of
// all. Each pass splits the candidates in the middle of their bits (floats of one sign have the
// order of their bits), and goes on with the part in which the sum is reached.
Cut FindCut(const float* weights, size_t n, uint64_t total, uint64_t wanted, float* room) {
  Candidates c = KeepBetween(weights, n, LowestWanted(total - wanted, n), 2, room);
  uint64_t above = 0;
  while (c.least < c.greatest) {
    const float middle = FloatOf((BitsOf(c.least) + BitsOf(c.greatest) + 1) / 2);
    const uint64_t upper = SumFrom(c, middle);
    const bool reached = above + upper >= wanted;
    if (!reached) above += upper;
    c = KeepBetween(c.weights, c.count, reached ? middle : c.least, reached ? 2 : middle, room);
  }
  const uint64_t each = IntegerOf(c.least);
  const uint64_t equal = (wanted - above + each - 1) / each;
  return {c.least, equal, above + equal * each};
}

struct BlockSum {
  uint64_t above = 0, equal = 0;  // the sum of greater weights, the number of equal ones
};

BlockSum SumBlock(const float* weights, size_t n, float cut) {
  const VF bound = SetF(cut);
  IntegerSum above;
  uint64_t equal = 0;
  ForSteps(n, [&](auto at) HWY_ATTR {
    const Pair v = Present(Load(weights, at), at);
    const auto even = hn::Gt(v.even, bound), odd = hn::Gt(v.odd, bound);
    above.Add({hn::IfThenElseZero(even, v.even), hn::IfThenElseZero(odd, v.odd)});
    equal += hn::CountTrue(DF(), hn::Eq(v.even, bound)) + hn::CountTrue(DF(), hn::Eq(v.odd, bound));
  });
  return {above.Total(), equal};
}

// The first token at which the sum of those left exceeds `target`.
size_t FindToken(const float* weights, size_t n, Cut cut, uint64_t target) {
  constexpr size_t kBlock = 1024;
  const uint64_t each = cut.equal == 0 ? 0 : IntegerOf(cut.weight);
  size_t begin = 0;
  for (; begin + kBlock < n; begin += kBlock) {
    const BlockSum block = SumBlock(weights + begin, kBlock, cut.weight);
    const uint64_t equal = HWY_MIN(cut.equal, block.equal);
    const uint64_t sum = block.above + equal * each;
    if (target < sum) break;
    target -= sum;
    cut.equal -= equal;
  }
  for (size_t i = begin; i < n; ++i) {
    const bool equal = weights[i] == cut.weight;
    if (!(weights[i] > cut.weight) && !(equal && cut.equal > 0)) continue;
    if (target < IntegerOf(weights[i])) return i;
    target -= IntegerOf(weights[i]);
    cut.equal -= equal;
  }
  return n - 1;  // never: the target is below the sum of all that are left
}

// Floats that DrawToken needs for n logits.
constexpr size_t RoomFor(size_t n) { return 2 * (n + 2 * kStep); }

// The token drawn from n logits of which `largest` is the largest.
template <class T>
size_t DrawToken(const T* x, size_t n, float largest, const Draw& draw, float* weights) {
  const size_t padded = hwy::RoundUpTo(n, kStep);
  std::memset(weights + n, 0, (padded - n) * sizeof(float));
  Cut cut;
  cut.sum = Weigh(x, n, largest, draw.temperature, weights);
  const uint64_t wanted = WantedSum(draw.top_p, cut.sum);
  if (wanted < cut.sum) cut = FindCut(weights, n, cut.sum, wanted, weights + padded);
  return FindToken(weights, n, cut, Target(draw.random, cut.sum));
}

// From the k largest alone: they are few, and the others' weights need not be computed.
template <class T>
size_t DrawOfLargest(const T* x, size_t n, const Draw& draw, SamplingMemory& memory) {
  const size_t k = draw.top_k;
  FindLargest(x, n, k, memory.largest);
  const std::span<const uint64_t> ranks = memory.largest.ByIndex();
  uint64_t first = 0;
  for (const uint64_t rank : ranks) first = HWY_MAX(first, rank);
  const float largest = ValueOf(first);
  if (!IsFinite(largest)) return IndexOf(first);
  float* weights = memory.weights.Floats(RoomFor(k) + k);
  float* logits = weights + RoomFor(k);
  for (size_t i = 0; i < k; ++i) logits[i] = ValueOf(ranks[i]);
  return IndexOf(ranks[DrawToken(logits, k, largest, draw, weights)]);
}

template <class T>
size_t SampleRow(const T* x, size_t n, const Draw& draw, SamplingMemory& memory) {
  if (!draw.greedy && draw.top_k < n) return DrawOfLargest(x, n, draw, memory);
  const float largest = RowMax(x, n);
  if (draw.greedy || !IsFinite(largest)) return FirstIndexOf(x, n, largest);
  return DrawToken(x, n, largest, draw, memory.weights.Floats(RoomFor(n)));
}

void SampleRows(const SamplingArgs& a, SamplingMemory& memory) {
  VisitFloat(a.logits.dtype, [&](auto type) HWY_ATTR {
    using T = decltype(type);
    for (int64_t r = 0; r < a.rows; ++r) {
      const size_t token = SampleRow(a.logits.Row<T>(r), a.cols, DrawOf(a, r), memory);
      *a.tokens.Row<int32_t>(r) = static_cast<int32_t>(token);
    }
  });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(SampleRows);

void Sample(const SamplingArgs& args) {
  static thread_local SamplingMemory memory;
  HWY_DYNAMIC_DISPATCH(SampleRows)(args, memory);
}

}  // namespace fusible::kernels
#endif
