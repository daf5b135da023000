#include "kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "kernels/attention_plan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/math-inl.h"
#include "kernels/simd/scores-inl.h"
#include "kernels/simd/values-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// The softmax of some keys for each row of a task: maximum, sum of exponentials, weighted values.
struct Part {
  float* max;
  float* sum;
  float* values;  // [rows][stride]
  int64_t stride;

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
float Subtrahend(float max) { return max == -std::numeric_limits<float>::infinity() ? 0.0f : max; }

// e^x for x <= 0, and 0 where that is no normal f32; a NaN stays.
HWY_INLINE VF Weight(VF x) {
  const Reduced e = Reduce(AtLeast(x, -88.0f));
  return hn::Mul(e.power, PowerOfTwo(e.n));
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

void CapScores(const AttentionArgs& a, Range vectors, float* scores) {
  const VF scale = SetF(a.scale), cap = SetF(a.softcap);
  for (int64_t i = vectors.begin; i < vectors.end; i += kLanes) {
    const VF score = hn::Mul(hn::Load(DF(), scores + i), scale);
    hn::Store(hn::Mul(cap, Tanh(hn::Div(score, cap))), DF(), scores + i);
  }
}

// Scores become exp(score - maximum), and 0 in the vectors that `keys` fill only in part.
void SoftmaxRow(const AttentionArgs& a, Range keys, float* scores, float* max, float* sum) {
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

// Asks for rows of a cache: keys lie anywhere, and a CPU does not foresee where (decoding from
// memory takes 1.2 times as long without).
template <class T>
void PrefetchRows(const Task& task, const Block& cache, int64_t width, Range keys) {
  keys = Intersect(keys, task.Keys());
  for (int64_t key = keys.begin; key < keys.end; ++key) {
    const T* row = task.CacheRow<T>(cache, task.Slot(key));
    for (int64_t i = 0; i < width; i += 64 / sizeof(T)) hwy::Prefetch(row + i);
  }
}

// A block of keys as a task meets it; ranges and slots count from its first key.
struct KeyBlock {
  int64_t base;         // of the sequence's keys, the first
  Range keys;           // that some row sees
  const Range* ranges;  // that each row sees
  const int64_t* slots;

  // Keys that some of `count` rows from `row` on see: a tile's rows follow one another.
  Range Seen(int64_t row, int64_t count) const {
    return {ranges[row].begin, ranges[row + count - 1].end};
  }
};

// scores[row][key] = q * k.
template <class T>
void Scores(const Task& task, const QueryRows& q, const KeyBlock& block, float* scores) {
  static thread_local Scratch scratch;
  constexpr int64_t kWidth = kPanel, kTile = kTileRows;
  const int64_t size = task.a->size, rows = task.rows();
  float* panel = scratch.Floats(hwy::RoundUpTo(size, 16) * kPanel);
  for (int64_t first = block.keys.begin / kWidth * kWidth; first < block.keys.end;
       first += kWidth) {
    const T* keys[kPanel];
    for (int64_t i = 0; i < kWidth; ++i) {
      const int64_t key = std::clamp(first + i, block.keys.begin, block.keys.end - 1);
      keys[i] = task.CacheRow<T>(task.a->k_cache, block.slots[key]);
    }
    const int64_t at = block.base + first;
    PrefetchRows<T>(task, task.a->k_cache, size, {at + kWidth, at + 2 * kWidth});
    PrefetchRows<T>(task, task.a->v_cache, task.a->value_size, {at, at + kWidth});
    const bool words = PackKeys(keys, size, q.dots, panel);
    for (int64_t r = 0; r < rows; r += kTile) {
      const int64_t count = std::min(kTile, rows - r);
      if (Intersect(block.Seen(r, count), {first, first + kWidth}).empty()) continue;
      float* out = scores + r * kKeys + first;
      if (words) {
        ScoreFew<AsWords>(count, q.words.From(r, 0), panel, size, out);
      } else {
        ScoreFew<AsFloats>(count, q.floats.From(r, 0), panel, size, out);
      }
    }
  }
}

// Calls multiply(row, count, keys) for rows of a tile: with those keys that all of them see, and
// row by row with the others, before and after, so that no row meets a key it does not see.
template <class F>
HWY_INLINE void ForVisible(int64_t rows, const Range* ranges, const F& multiply) {
  Range common = {0, kKeys};
  for (int64_t r = 0; r < rows; ++r) common = Intersect(common, ranges[r]);
  if (common.empty()) {
    for (int64_t r = 0; r < rows; ++r) multiply(r, 1, ranges[r]);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) multiply(r, 1, {ranges[r].begin, common.begin});
  multiply(0, rows, common);
  for (int64_t r = 0; r < rows; ++r) multiply(r, 1, {common.end, ranges[r].end});
}

// part.values[row] = sum over the row's keys of weight * value.
template <class T>
void WeighValues(const Task& task, const KeyBlock& block, const float* weights, const Part& part) {
  static thread_local Scratch scratch;
  constexpr int64_t kTile = kTileRows, kColumns = kPanel;
  const int64_t rows = task.rows(), size = task.a->value_size;
  const bool pack = rows > kFewTiles * kTile;
  float* panel = scratch.Floats(kKeys * kPanel);
  const T* values[kKeys];
  for (int64_t key = block.keys.begin; key < block.keys.end; ++key) {
    values[key] = task.CacheRow<T>(task.a->v_cache, block.slots[key]);
  }
  std::fill_n(part.values, rows * part.stride, 0.0f);
  for (int64_t col = 0; col < size; col += kColumns) {
    const ValueColumns<T> columns = {values, col, std::min(kColumns, size - col)};
    if (pack) PackValues(columns, block.keys, panel);
    for (int64_t r = 0; r < rows; r += kTile) {
      ForVisible(std::min(kTile, rows - r), block.ranges + r,
                 [&](int64_t row, int64_t count, Range keys) HWY_ATTR {
        if (keys.empty()) return;
        const FloatRows from = FloatRows{weights, kKeys}.From(r + row, 0);
        float* to = part.values + (r + row) * part.stride + col;
        const Sums sums = {to, static_cast<size_t>(part.stride), false};
        if (!pack) return WeighFew(count, from, columns, keys, sums);
        MultiplyFew(count, from.From(0, keys.begin), panel + keys.begin * kPanel,
                    keys.end - keys.begin, sums);
      });
    }
  }
}

// The part of one block of keys.
template <class T>
void BlockPart(const Task& task, const QueryRows& q, int64_t number, const Part& part) {
  static thread_local Scratch scratch;
  static thread_local std::vector<Range> ranges;
  const int64_t rows = task.rows(), base = number * kKeys;
  float* scores = scratch.Floats(rows * kKeys);
  ranges.resize(rows);
  for (int64_t r = 0; r < rows; ++r) {
    const Range visible = Intersect(BlockKeys(number), task.Visible(r));
    ranges[r] = {visible.begin - base, visible.end - base};
  }
  const Range all = Intersect(BlockKeys(number), task.Keys());
  int64_t slots[kKeys];
  const KeyBlock block = {base, {all.begin - base, all.end - base}, ranges.data(), slots};
  for (int64_t key = block.keys.begin; key < block.keys.end; ++key) {
    slots[key] = task.Slot(base + key);
  }
  Scores<T>(task, q, block, scores);
  for (int64_t r = 0; r < rows; ++r) {
    if (ranges[r].empty()) continue;
    SoftmaxRow(*task.a, ranges[r], scores + r * kKeys, part.max + r, part.sum + r);
  }
  WeighValues<T>(task, block, scores, part);
}

// Adds the part of a block to that of the blocks before it.
void Merge(const Task& task, int64_t block, const Part& part, const Part& into) {
  for (int64_t r = 0; r < task.rows(); ++r) {
    if (Intersect(BlockKeys(block), task.Visible(r)).empty()) continue;
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

void Clear(const Task& task, const Part& part) {
  std::fill_n(part.max, task.rows(), -std::numeric_limits<float>::infinity());
  std::fill_n(part.sum, task.rows(), 0.0f);
  std::fill_n(part.values, task.rows() * part.stride, 0.0f);
}

// Floats from one query of a task to the next: not a multiple of a large power of two, so that the
// rows of a tile do not share one set of the cache.
size_t QueryStride(const Task& task) { return hwy::RoundUpTo(task.a->size, 32) + 16; }
// The same of its elements as they are stored, for bf16.
size_t WordStride(const Task& task) { return hwy::RoundUpTo(task.a->size / 2, 32) + 16; }

size_t QueryFloats(const Task& task) {
  return task.rows() * (QueryStride(task) + WordStride(task));
}

// Copies the queries of a task, as f32 and, where dot products may be taken, as they are.
template <class T>
QueryRows Queries(const Task& task, float* memory) {
  const int64_t size = task.a->size, rows = task.rows();
  QueryRows q = {{memory, QueryStride(task)}, {nullptr, WordStride(task)}, false};
  float* words = memory + rows * q.floats.stride;
  q.words.data = words;
  q.dots = kHasDots && std::is_same_v<T, BF16> && size % 2 == 0 && HasBf16Conversion();
  if (q.dots) std::memset(words, 0, rows * q.words.stride * sizeof(float));
  for (int64_t r = 0; r < rows; ++r) {
    const T* row = task.a->q.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    float* floats = memory + r * q.floats.stride;
    ForSteps(size, [=](auto at) HWY_ATTR { Store(Load(row, at), floats, Full{at.i}); });
    if (q.dots) std::memcpy(words + r * q.words.stride, row, size * sizeof(T));
  }
  if constexpr (kHasDots) q.dots = q.dots && AreUsual(words, rows * q.words.stride);
  return q;
}

template <class T>
void StoreResults(const Task& task, const Part& part) {
  const int64_t size = task.a->value_size;
  for (int64_t r = 0; r < task.rows(); ++r) {
    T* y = task.a->y.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    const float* values = part.values + r * part.stride;
    const VF sum = SetF(part.sum[r]);
    ForSteps(size, [=](auto at) HWY_ATTR {
      const float* step = values + at.i;  // even, then odd
      const Pair pair = {hn::Load(DF(), step), hn::Load(DF(), step + kLanes)};
      Store(Div(pair, sum), y, at);
    });
  }
}

// Tasks over the same keys, side by side, block by block.
template <class T>
void RunTasks(std::span<const Task> tasks) {
  static thread_local Scratch scratch;
  static thread_local std::vector<QueryRows> queries;
  const Task& first = tasks.front();
  const int64_t part_floats = Part::Floats(first);
  const int64_t each = part_floats + hwy::RoundUpTo(QueryFloats(first), 16);
  float* memory = scratch.Floats(tasks.size() * each + part_floats);
  const Part part = Part::In(memory + tasks.size() * each, first);
  queries.clear();
  for (size_t i = 0; i < tasks.size(); ++i) {
    queries.push_back(Queries<T>(tasks[i], memory + i * each + part_floats));
    Clear(tasks[i], Part::In(memory + i * each, first));
  }
  for (int64_t block = first.Blocks().begin; block < first.Blocks().end; ++block) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      BlockPart<T>(tasks[i], queries[i], block, part);
      Merge(tasks[i], block, part, Part::In(memory + i * each, first));
    }
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    StoreResults<T>(tasks[i], Part::In(memory + i * each, first));
  }
}

// The parts of all blocks on all threads, then merged in the same order. Units of work: for each
// group of tasks, for each block, for each task of the group.
template <class T>
void RunSplit(const AttentionPlan& plan) {
  static thread_local Scratch scratch;
  const std::span<const Task> tasks = plan.tasks;
  const std::span<const int64_t> starts = plan.starts;
  int64_t each = 0;  // floats of the largest part
  for (const Task& task : tasks) each = std::max(each, Part::Floats(task));
  float* memory = scratch.Floats((starts.back() + 1) * each);
  ParallelFor(starts.back(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    static thread_local Scratch queries;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t g = std::ranges::upper_bound(starts, unit) - starts.begin() - 1;
      const int64_t in_group = unit - starts[g];
      const Task& task = tasks[g * plan.together + in_group % plan.together];
      const QueryRows q = Queries<T>(task, queries.Floats(QueryFloats(task)));
      const int64_t block = task.Blocks().begin + in_group / plan.together;
      BlockPart<T>(task, q, block, Part::In(memory + unit * each, task));
    }
  });
  ParallelFor(tasks.size(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    static thread_local Scratch merged;
    for (int64_t i = begin; i < end; ++i) {
      const Part all = Part::In(merged.Floats(each), tasks[i]);
      Clear(tasks[i], all);
      int64_t unit = starts[i / plan.together] + i % plan.together;
      for (int64_t block = tasks[i].Blocks().begin; block < tasks[i].Blocks().end; ++block) {
        Merge(tasks[i], block, Part::In(memory + unit * each, tasks[i]), all);
        unit += plan.together;
      }
      StoreResults<T>(tasks[i], all);
    }
  });
}

template <class T>
void AttentionRows(const AttentionArgs& a) {
  const AttentionPlan plan = PlanAttention(a);
  if (plan.split) return RunSplit<T>(plan);
  ParallelFor(plan.groups(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t g = begin; g < end; ++g) {
      RunTasks<T>(plan.tasks.subspan(g * plan.together, plan.together));
    }
  });
}

void AttentionAny(const AttentionArgs& a) {
  VisitFloat(a.q.dtype, [&](auto type) HWY_ATTR { AttentionRows<decltype(type)>(a); });
}

}  // namespace fusible::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fusible::kernels {

HWY_EXPORT(AttentionAny);

namespace {

void StoreZeros(const AttentionArgs& a) {
  const int64_t bytes = a.heads * a.value_size * static_cast<int64_t>(Bytes(a.y.dtype));
  for (int64_t s = 0; s < a.sequences; ++s) {
    if (a.lengths[s] != 0) continue;
    for (int64_t t = a.query_start[s]; t < a.query_start[s + 1]; ++t) {
      std::memset(a.y.data + t * bytes, 0, bytes);
    }
  }
}

}  // namespace

void Attention(const AttentionArgs& args) {
  if (args.heads == 0 || args.value_size == 0) return;
  StoreZeros(args);
  HWY_DYNAMIC_DISPATCH(AttentionAny)(args);
}

}  // namespace fusible::kernels
#endif
