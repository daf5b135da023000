#include "kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "kernels/attention_plan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/math-inl.h"
#include "kernels/simd/panels-inl.h"

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

// Scores become exp(score - maximum); those outside of `keys` (in the block) are not used.
void SoftmaxRow(const AttentionArgs& a, Range keys, float* scores, float* max, float* sum) {
  const VF none = SetF(-std::numeric_limits<float>::infinity());
  const VF scale = SetF(a.scale), cap = SetF(a.softcap);
  const int64_t step = kLanes, begin = keys.begin - keys.begin % step;
  const VU first = SetBits(keys.begin), count = SetBits(keys.end - keys.begin);
  VF largest = none;
  for (int64_t i = begin; i < keys.end; i += step) {
    VF score = hn::Mul(hn::Load(DF(), scores + i), scale);
    if (a.softcap > 0) score = hn::Mul(cap, Tanh(hn::Div(score, cap)));
    const VU index = hn::Sub(hn::Iota(DU(), static_cast<uint32_t>(i)), first);
    score = hn::IfThenElse(hn::RebindMask(DF(), hn::Lt(index, count)), score, none);
    largest = hn::Max(largest, score);
    hn::Store(score, DF(), scores + i);
  }
  *max = hn::GetLane(hn::MaxOfLanes(DF(), largest));
  const VF least = SetF(Subtrahend(*max));
  VF total = hn::Zero(DF());
  for (int64_t i = begin; i < keys.end; i += step) {
    const VF weight = Exp(hn::Sub(hn::Load(DF(), scores + i), least));
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
    const T* row = task.CacheRow<T>(cache, width, task.Slot(key));
    for (int64_t i = 0; i < width; i += 64 / sizeof(T)) hwy::Prefetch(row + i);
  }
}

// scores[row][key in block] = q * k, for keys `keys` of the block, whose first key is `base`.
template <class T>
void Scores(const Task& task, FloatRows q, int64_t base, Range keys, const int64_t* slots,
            float* scores) {
  static thread_local Scratch scratch;
  const int64_t size = task.a->size, width = kPanel;
  float* panel = scratch.Floats(hwy::RoundUpTo(size, 16) * kPanel);
  for (int64_t first = keys.begin - keys.begin % width; first < keys.end; first += width) {
    const T* rows[kPanel];
    for (int64_t i = 0; i < width; ++i) {
      const int64_t key = std::clamp(first + i, keys.begin, keys.end - 1);
      rows[i] = task.CacheRow<T>(task.a->k_cache, size, slots[key]);
    }
    const int64_t at = base + first;
    PrefetchRows<T>(task, task.a->k_cache, size, {at + width, at + 2 * width});
    PrefetchRows<T>(task, task.a->v_cache, task.a->value_size, {at, at + width});
    PackPanel(rows, 0, size, 0, panel);
    Multiply(task.rows(), q, panel, size, {scores + first, kKeys, true});
  }
}

// Sums over each row's own keys: those that all rows of a tile see together, the others row by row
// before and after, so that no row meets a key it does not see. ranges: of keys in the block.
void MultiplyVisible(int64_t rows, const Range* ranges, FloatRows weights, const float* panel,
                     Sums sums) {
  Range common = {0, kKeys};
  for (int64_t r = 0; r < rows; ++r) common = Intersect(common, ranges[r]);
  const auto multiply = [&](int64_t row, int64_t count, Range keys) HWY_ATTR {
    if (keys.empty()) return;
    MultiplyFew(count, weights.From(row, keys.begin), panel + keys.begin * kPanel,
                keys.end - keys.begin, sums.From(row));
  };
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
void WeighValues(const Task& task, const Range* ranges, const float* weights, Range keys,
                 const int64_t* slots, const Part& part) {
  static thread_local Scratch scratch;
  float* panel = scratch.Floats(kKeys * kPanel);
  const int64_t rows = task.rows(), tile = kTileRows;
  std::fill_n(part.values, rows * part.stride, 0.0f);
  for (int64_t col = 0; col < task.a->value_size; col += kPanel) {
    const int64_t count = std::min<int64_t>(kPanel, task.a->value_size - col);
    for (int64_t key = keys.begin; key < keys.end; ++key) {
      const T* value = task.CacheRow<T>(task.a->v_cache, task.a->value_size, slots[key]) + col;
      float* out = panel + key * kPanel;
      ForSteps(count, [=](auto at) HWY_ATTR { Store(Load(value, at), out, Full{at.i}); });
    }
    for (int64_t r = 0; r < rows; r += tile) {
      const FloatRows from = FloatRows{weights, kKeys}.From(r, 0);
      const Sums to = {part.values + r * part.stride + col, static_cast<size_t>(part.stride),
                       false};
      MultiplyVisible(std::min(tile, rows - r), ranges + r, from, panel, to);
    }
  }
}

// The part of one block of keys.
template <class T>
void BlockPart(const Task& task, FloatRows q, int64_t block, const Part& part) {
  static thread_local Scratch scratch;
  static thread_local std::vector<Range> ranges;
  const int64_t rows = task.rows(), base = block * kKeys;
  float* scores = scratch.Floats(rows * kKeys);
  ranges.resize(rows);
  const Range all = Intersect(BlockKeys(block), task.Keys());
  const Range keys = {all.begin - base, all.end - base};
  int64_t slots[kKeys];
  for (int64_t key = keys.begin; key < keys.end; ++key) slots[key] = task.Slot(base + key);
  Scores<T>(task, q, base, keys, slots, scores);
  for (int64_t r = 0; r < rows; ++r) {
    const Range visible = Intersect(BlockKeys(block), task.Visible(r));
    ranges[r] = {visible.begin - base, visible.end - base};
    if (ranges[r].empty()) continue;
    SoftmaxRow(*task.a, ranges[r], scores + r * kKeys, part.max + r, part.sum + r);
  }
  WeighValues<T>(task, ranges.data(), scores, keys, slots, part);
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

size_t QueryStride(const Task& task) { return hwy::RoundUpTo(task.a->size, 32) + 16; }

template <class T>
FloatRows Queries(const Task& task, float* memory) {
  const int64_t size = task.a->size;
  const size_t stride = QueryStride(task);
  for (int64_t r = 0; r < task.rows(); ++r) {
    const T* row = task.a->q.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    float* floats = memory + r * stride;
    ForSteps(size, [=](auto at) HWY_ATTR { Store(Load(row, at), floats, Full{at.i}); });
  }
  return {memory, stride};
}

template <class T>
void StoreResults(const Task& task, const Part& part) {
  const int64_t size = task.a->value_size;
  for (int64_t r = 0; r < task.rows(); ++r) {
    T* y = task.a->y.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    const float* values = part.values + r * part.stride;
    const VF sum = SetF(part.sum[r]);
    ForSteps(size, [=](auto at) HWY_ATTR { Store(Div(Load(values, at), sum), y, at); });
  }
}

// Tasks over the same keys, side by side, block by block.
template <class T>
void RunTasks(std::span<const Task> tasks) {
  static thread_local Scratch scratch;
  const Task& first = tasks.front();
  const int64_t part_floats = Part::Floats(first);
  const int64_t query_floats = hwy::RoundUpTo(first.rows() * QueryStride(first), 16);
  const int64_t each = part_floats + query_floats;
  float* memory = scratch.Floats(tasks.size() * each + part_floats);
  const Part part = Part::In(memory + tasks.size() * each, first);
  for (size_t i = 0; i < tasks.size(); ++i) {
    Queries<T>(tasks[i], memory + i * each + part_floats);
    Clear(tasks[i], Part::In(memory + i * each, first));
  }
  for (int64_t block = first.Blocks().begin; block < first.Blocks().end; ++block) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      float* own = memory + i * each;
      BlockPart<T>(tasks[i], {own + part_floats, QueryStride(first)}, block, part);
      Merge(tasks[i], block, part, Part::In(own, first));
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
      const FloatRows q = Queries<T>(task, queries.Floats(task.rows() * QueryStride(task)));
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
