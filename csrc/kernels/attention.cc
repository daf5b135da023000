#include "kernels/attention.h"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "core/threads.h"
#include "kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/math-inl.h"
#include "kernels/simd/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

constexpr int64_t kKeys = 128;     // of a block
constexpr int64_t kTaskRows = 96;  // query heads that share a packed block of keys; packing costs < 5 %

struct Range {
  int64_t begin, end;
  bool empty() const { return begin >= end; }
};

Range Intersect(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

Range BlockKeys(int64_t block) { return {block * kKeys, (block + 1) * kKeys}; }

// Some queries of one sequence, with the query heads that share one kv head. Row r is query
// r / group(), head r % group() of them.
struct Task {
  const AttentionArgs* a;
  int64_t sequence, kv_head;
  int64_t token, count;  // queries: tokens [token, token + count)
  int64_t position;      // of the first

  int64_t group() const { return a->heads / a->kv_heads; }
  int64_t rows() const { return count * group(); }
  int64_t TokenOf(int64_t row) const { return token + row / group(); }
  int64_t HeadOf(int64_t row) const { return kv_head * group() + row % group(); }

  Range Visible(int64_t row) const {
    const int64_t end = position + row / group() + 1;
    return {a->window > 0 ? std::max<int64_t>(0, end - a->window) : 0, end};
  }
  Range Keys() const { return {Visible(0).begin, Visible(rows() - 1).end}; }
  // In blocks: [first, behind the last).
  Range Blocks() const { return {Keys().begin / kKeys, (Keys().end + kKeys - 1) / kKeys}; }

  // The row of a cache that holds a key.
  int64_t Slot(int64_t key) const {
    const int32_t* table = a->block_table + sequence * a->table_width;
    return table[key / a->page] * a->page + key % a->page;
  }
  template <class T>
  const T* CacheRow(const Block& cache, int64_t width, int64_t slot) const {
    return cache.Row<T>(0) + (slot * a->kv_heads + kv_head) * width;
  }
};

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

// scores[row][key in block] = q * k, for keys `keys` of the block.
template <class T>
void Scores(const Task& task, FloatRows q, Range keys, const int64_t* slots, float* scores) {
  static thread_local Scratch scratch;
  const int64_t size = task.a->size, width = kPanel;
  float* panel = scratch.Floats(hwy::RoundUpTo(size, 16) * kPanel);
  for (int64_t first = keys.begin - keys.begin % width; first < keys.end; first += width) {
    const T* rows[kPanel];
    for (int64_t i = 0; i < width; ++i) {
      const int64_t key = std::clamp(first + i, keys.begin, keys.end - 1);
      rows[i] = task.CacheRow<T>(task.a->k_cache, size, slots[key]);
    }
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
      const Sums to = {part.values + r * part.stride + col, static_cast<size_t>(part.stride), false};
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
  Scores<T>(task, q, keys, slots, scores);
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

template <class T>
FloatRows Queries(const Task& task) {
  static thread_local Scratch scratch;
  const int64_t size = task.a->size;
  const size_t stride = hwy::RoundUpTo(size, 32) + 16;
  float* out = scratch.Floats(task.rows() * stride);
  for (int64_t r = 0; r < task.rows(); ++r) {
    const T* row = task.a->q.Row<T>(task.TokenOf(r)) + task.HeadOf(r) * size;
    float* floats = out + r * stride;
    ForSteps(size, [=](auto at) HWY_ATTR { Store(Load(row, at), floats, Full{at.i}); });
  }
  return {out, stride};
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

template <class T>
void RunTask(const Task& task) {
  static thread_local Scratch scratch;
  const int64_t floats = Part::Floats(task);
  float* memory = scratch.Floats(2 * floats);
  const Part all = Part::In(memory, task), part = Part::In(memory + floats, task);
  const FloatRows q = Queries<T>(task);
  Clear(task, all);
  for (int64_t block = task.Blocks().begin; block < task.Blocks().end; ++block) {
    BlockPart<T>(task, q, block, part);
    Merge(task, block, part, all);
  }
  StoreResults<T>(task, all);
}

// Few tasks over many keys (decoding): the parts on all threads, then merged in the same order.
template <class T>
void RunSplit(const std::vector<Task>& tasks) {
  struct Unit {
    const Task* task;
    int64_t block;
    int64_t offset;  // of its part in memory
  };
  std::vector<Unit> units;
  int64_t total = 0;
  for (const Task& task : tasks) {
    for (int64_t block = task.Blocks().begin; block < task.Blocks().end; ++block) {
      units.push_back({&task, block, total});
      total += Part::Floats(task);
    }
  }
  static thread_local Scratch scratch;
  float* memory = scratch.Floats(total);
  ParallelFor(units.size(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (const Unit& unit : std::span(units).subspan(begin, end - begin)) {
      const Part part = Part::In(memory + unit.offset, *unit.task);
      BlockPart<T>(*unit.task, Queries<T>(*unit.task), unit.block, part);
    }
  });
  auto unit = units.begin();
  for (const Task& task : tasks) {
    static thread_local Scratch merged_scratch;
    const Part all = Part::In(merged_scratch.Floats(Part::Floats(task)), task);
    Clear(task, all);
    for (; unit != units.end() && unit->task == &task; ++unit) {
      Merge(task, unit->block, Part::In(memory + unit->offset, task), all);
    }
    StoreResults<T>(task, all);
  }
}

template <class T>
void StoreZeros(const AttentionArgs& a, int64_t token, int64_t count) {
  for (int64_t t = token; t < token + count; ++t) {
    std::memset(a.y.Row<T>(t), 0, a.heads * a.value_size * sizeof(T));
  }
}

template <class T>
std::vector<Task> MakeTasks(const AttentionArgs& a) {
  std::vector<Task> tasks;
  const int64_t step = std::max<int64_t>(1, kTaskRows / std::max<int64_t>(1, a.heads / a.kv_heads));
  for (int64_t s = 0; s < a.sequences; ++s) {
    const int64_t begin = a.query_start[s], end = a.query_start[s + 1];
    if (a.lengths[s] == 0) {
      StoreZeros<T>(a, begin, end - begin);
      continue;
    }
    // The last queries see the most keys: they come first, so that threads finish together.
    for (int64_t first = begin + (end - begin - 1) / step * step; first >= begin; first -= step) {
      const int64_t position = a.lengths[s] - (end - first);
      for (int64_t n = 0; n < a.kv_heads && first < end; ++n) {
        tasks.push_back({&a, s, n, first, std::min(step, end - first), position});
      }
    }
  }
  return tasks;
}

template <class T>
void AttentionRows(const AttentionArgs& a) {
  const std::vector<Task> tasks = MakeTasks<T>(a);
  const int64_t count = tasks.size();
  if (count < ThreadCount()) return RunSplit<T>(tasks);
  ParallelFor(count, 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) RunTask<T>(tasks[i]);
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

void Attention(const AttentionArgs& args) {
  if (args.heads == 0 || args.value_size == 0) return;
  HWY_DYNAMIC_DISPATCH(AttentionAny)(args);
}

}  // namespace fusible::kernels
#endif
