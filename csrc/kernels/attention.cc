#include "kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/attention_plan.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cc"
#include "hwy/foreach_target.h"
#include "kernels/simd/parts-inl.h"
#include "kernels/simd/scores-inl.h"
#include "kernels/simd/values-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fusible::kernels::HWY_NAMESPACE {

// A block of keys as some tasks side by side meet it.
struct KeyBlock {
  const Slots& slots;
  int64_t rows;         // of each task
  const Range* ranges;  // the keys that each row sees, counted from the block's first

  // Keys that some of `count` rows from `row` on see: a tile's rows follow one another.
  Range Seen(int64_t row, int64_t count) const {
    return {ranges[row].begin, ranges[row + count - 1].end};
  }
};

// A share of the rows of a cache that are read next by tasks side by side. Their heads lie next to
// one another: asked for in this order, memory gives them twice as fast as head by head. A few
// lines at a time, because a CPU waits where it has too many to wait for.
class Share {
 public:
  // The i-th of as many shares as there are tasks; nothing where there are no slots. width: of the
  // elements of a row that are read.
  Share(const Slots* slots, const Block& cache, int64_t width, size_t i,
        std::span<const Task> tasks)
      : slots_(slots) {
    if (!slots) return;
    const int64_t index = i, count = tasks.size();
    const Range some = {index * kKeys / count, (index + 1) * kKeys / count};
    const Range keys = Intersect(some, slots->keys);
    const int64_t size = Bytes(cache.dtype);
    key_bytes_ = tasks[0].a->kv_heads * cache.row_stride * size;
    first_ = cache.data + tasks[0].kv_head * cache.row_stride * size;
    key_lines_ = (((count - 1) * cache.row_stride + width) * size + kLine - 1) / kLine;
    if (keys.empty()) return;
    lines_ = (keys.end - keys.begin) * key_lines_;
    Enter(keys.begin);
  }

  // In how many steps it is asked for.
  void Divide(int64_t steps) { steps_ = steps; }

  // Asks for the next step's part.
  void Step() {
    ++step_;
    const int64_t end = std::min(lines_, lines_ * step_ / steps_);
    while (next_ < end) {
      if (line_ == key_lines_) Enter(key_ + 1);
      const int64_t stop = std::min(key_lines_, line_ + end - next_);
      next_ += stop - line_;
      for (; line_ < stop; ++line_) __builtin_prefetch(row_ + line_ * kLine, 0, 2);  // to L2
    }
  }

 private:
  static constexpr int64_t kLine = 64;

  void Enter(int64_t key) {
    key_ = key;
    line_ = 0;
    row_ = first_ + slots_->at[key] * key_bytes_;
  }

  const Slots* slots_;
  const std::byte *first_ = nullptr, *row_ = nullptr;
  int64_t key_bytes_ = 0, key_lines_ = 0, lines_ = 0;
  int64_t key_ = 0, line_ = 0, next_ = 0;
  int64_t steps_ = 1, step_ = 0;
};

// scores[row][key] = q * k; asks for values meanwhile.
template <class T>
void Scores(const Task& task, const QueryRows& q, const KeyBlock& block, Share values,
            float* scores) {
  static thread_local Scratch scratch;
  constexpr int64_t kWidth = kPanel, kTile = kTileRows;
  const int64_t size = task.a->size, rows = block.rows;
  const Range all = block.slots.keys;
  float* panel = scratch.Floats(hwy::RoundUpTo(size, 16) * kPanel);
  values.Divide(kKeys / kWidth * (PackSteps<T>(size) + (rows + kTile - 1) / kTile));
  for (int64_t first = all.begin / kWidth * kWidth; first < all.end; first += kWidth) {
    const T* keys[kPanel];
    for (int64_t i = 0; i < kWidth; ++i) {
      const int64_t key = std::clamp(first + i, all.begin, all.end - 1);
      keys[i] = task.CacheRow<T>(task.a->k_cache, block.slots.at[key]);
    }
    const bool words = PackKeys(keys, size, q, panel, [&] { values.Step(); });
    for (int64_t r = 0; r < rows; r += kTile) {
      values.Step();
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

// part.values[row] = sum over the row's keys of weight * value, of many rows: from a copy of the
// values as f32, panel by panel. Asks for keys meanwhile.
template <class T>
void WeighPacked(const KeyBlock& block, const T* const* values, int64_t size, Share keys,
                 const float* weights, const Part& part) {
  static thread_local Scratch scratch;
  constexpr int64_t kTile = kTileRows, kColumns = kPanel;
  float* panels = scratch.Floats(kKeys * part.stride);
  const Range all = block.slots.keys;
  for (int64_t key = all.begin; key < all.end; ++key) {
    PackValues(values[key], size, panels + key * kPanel);
  }
  keys.Divide((size + kColumns - 1) / kColumns * ((block.rows + kTile - 1) / kTile));
  for (int64_t col = 0; col < size; col += kColumns) {
    const float* panel = panels + col * kKeys;
    for (int64_t r = 0; r < block.rows; r += kTile) {
      keys.Step();
      ForVisible(std::min(kTile, block.rows - r), block.ranges + r,
                 [&](int64_t row, int64_t count, Range seen) HWY_ATTR {
                   const FloatRows from = FloatRows{weights, kKeys}.From(r + row, seen.begin);
                   MultiplyFew(count, from, panel + seen.begin * kPanel, seen.end - seen.begin,
                               part.At(r + row, col));
                 });
    }
  }
}

// The same of few rows, which read the values where they lie.
template <class T>
void WeighInPlace(const KeyBlock& block, const T* const* values, int64_t size, Share keys,
                  const float* weights, const Part& part) {
  constexpr int64_t kTile = kTileRows, kColumns = kPanel;
  keys.Divide(kKeys / kFewKeys * ((size + kColumns - 1) / kColumns));
  for (int64_t first = 0; first < kKeys; first += kFewKeys) {
    for (int64_t col = 0; col < size; col += kColumns) {
      keys.Step();
      const ValueColumns<T> columns = {values, col, std::min(kColumns, size - col)};
      for (int64_t r = 0; r < block.rows; r += kTile) {
        ForVisible(std::min(kTile, block.rows - r), block.ranges + r,
                   [&](int64_t row, int64_t count, Range seen) HWY_ATTR {
                     seen = Intersect(seen, {first, first + kFewKeys});
                     const FloatRows from = FloatRows{weights, kKeys}.From(r + row, 0);
                     if (!seen.empty()) WeighFew(count, from, columns, seen, part.At(r + row, col));
                   });
      }
    }
  }
}

template <class T>
void WeighValues(const Task& task, const KeyBlock& block, const Share& keys, const float* weights,
                 const Part& part) {
  const int64_t size = task.a->value_size;
  const T* values[kKeys];
  for (int64_t key = block.slots.keys.begin; key < block.slots.keys.end; ++key) {
    values[key] = task.CacheRow<T>(task.a->v_cache, block.slots.at[key]);
  }
  std::fill_n(part.values, block.rows * part.stride, 0.0f);
  constexpr int64_t kFewRows = kFewTiles * kTileRows;
  const auto weigh = block.rows > kFewRows ? WeighPacked<T> : WeighInPlace<T>;
  weigh(block, values, size, keys, weights, part);
}

// The parts of one block of keys, of tasks side by side. The keys of all come before the values of
// all, so that the second cache has to hold only what is read and what comes next.
template <class T>
void BlockParts(std::span<const Task> tasks, const QueryRows* queries, const Slots& slots,
                const Slots* next, const Part* parts) {
  static thread_local Scratch scratch;
  static thread_local std::vector<Range> ranges;
  const AttentionArgs& args = *tasks.front().a;
  const int64_t rows = tasks.front().rows();
  float* weights = scratch.Floats(tasks.size() * rows * kKeys);
  ranges.resize(rows);
  for (int64_t r = 0; r < rows; ++r) ranges[r] = tasks.front().VisibleIn(slots.block, r);
  const KeyBlock block = {slots, rows, ranges.data()};
  for (size_t i = 0; i < tasks.size(); ++i) {
    float* scores = weights + i * rows * kKeys;
    const Share values(&slots, args.v_cache, args.value_size, i, tasks);
    Scores<T>(tasks[i], queries[i], block, values, scores);
    for (int64_t r = 0; r < rows; ++r) {
      if (ranges[r].empty()) continue;
      SoftmaxRow(args, ranges[r], scores + r * kKeys, parts[i].max + r, parts[i].sum + r);
    }
  }
  for (size_t i = 0; i < tasks.size(); ++i) {
    const Share keys(next, args.k_cache, args.size, i, tasks);
    WeighValues<T>(tasks[i], block, keys, weights + i * rows * kKeys, parts[i]);
  }
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
  static thread_local std::vector<Part> parts, sums;
  const Task& first = tasks.front();
  const QueryRows* queries = QueriesOf<T>(tasks);
  const int64_t count = tasks.size(), each = Part::Floats(first);
  float* memory = scratch.Floats(2 * count * each);
  parts.clear();
  sums.clear();
  for (int64_t i = 0; i < count; ++i) {
    parts.push_back(Part::In(memory + i * each, first));
    sums.push_back(Part::In(memory + (count + i) * each, first));
    Clear(first, sums[i]);
  }
  const Range blocks = first.Blocks();
  Slots slots = first.SlotsOf(blocks.begin), next;
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    const bool last = block + 1 == blocks.end;
    if (!last) next = first.SlotsOf(block + 1);
    BlockParts<T>(tasks, queries, slots, last ? nullptr : &next, parts.data());
    for (int64_t i = 0; i < count; ++i) Merge(tasks[i], block, parts[i], sums[i]);
    slots = next;
  }
  for (int64_t i = 0; i < count; ++i) StoreResults<T>(tasks[i], sums[i]);
}

// The parts of all blocks on all threads, then merged in the same order.
template <class T>
void RunSplit(const AttentionPlan& plan) {
  static thread_local Scratch scratch;
  const std::span<const Task> tasks = plan.tasks;
  int64_t each = 0;  // floats of the largest part
  for (const Task& task : tasks) each = std::max(each, Part::Floats(task));
  float* memory = scratch.Floats(plan.units() * each);
  ParallelFor(plan.units(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    static thread_local std::vector<Part> parts;
    for (int64_t i = begin; i < end;) {
      const Unit unit = plan.UnitAt(i);
      const int64_t count = std::min<int64_t>(end - i, unit.tasks.size());
      const std::span<const Task> some = unit.tasks.first(count);
      parts.clear();
      for (const Task& task : some) parts.push_back(Part::In(memory + i++ * each, task));
      const bool more = i < end && unit.block + 1 < some[0].Blocks().end;
      const Slots slots = some[0].SlotsOf(unit.block);
      const Slots next = more ? some[0].SlotsOf(unit.block + 1) : Slots();
      BlockParts<T>(some, QueriesOf<T>(some), slots, more ? &next : nullptr, parts.data());
    }
  });
  ParallelFor(tasks.size(), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    static thread_local Scratch merged;
    for (int64_t i = begin; i < end; ++i) {
      const Part all = Part::In(merged.Floats(each), tasks[i]);
      Clear(tasks[i], all);
      int64_t unit = plan.starts[i / plan.together] + i % plan.together;
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
