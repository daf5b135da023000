// How attention is split into tasks. Bits do not depend on it.
#pragma once

#include <algorithm>
#include <span>

#include "kernels/attention.h"

namespace fusible::kernels {

inline constexpr int64_t kKeys = 128;  // of a block

struct Range {
  int64_t begin, end;
  bool empty() const { return begin >= end; }
};

inline Range Intersect(Range a, Range b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

inline Range BlockKeys(int64_t block) { return {block * kKeys, (block + 1) * kKeys}; }

// Where the keys of a block are that a task sees, in rows of pages; they count from the block's
// first.
struct Slots {
  int64_t block;
  Range keys;
  int64_t at[kKeys];
};

// Some queries of one sequence, with query heads that share one kv head. Row r is query r / heads,
// head r % heads of them.
struct Task {
  const AttentionArgs* a;
  int64_t sequence, kv_head;
  int64_t head, heads;   // query heads: [head, head + heads)
  int64_t token, count;  // queries: tokens [token, token + count)
  int64_t position;      // of the first

  int64_t rows() const { return count * heads; }
  int64_t TokenOf(int64_t row) const { return token + row / heads; }
  int64_t HeadOf(int64_t row) const { return head + row % heads; }

  Range Visible(int64_t row) const {
    const int64_t end = position + row / heads + 1;
    return {a->window > 0 ? std::max<int64_t>(0, end - a->window) : 0, end};
  }
  Range Keys() const { return {Visible(0).begin, Visible(rows() - 1).end}; }
  // In blocks: [first, behind the last).
  Range Blocks() const { return {Keys().begin / kKeys, (Keys().end + kKeys - 1) / kKeys}; }

  Range VisibleIn(int64_t block, int64_t row) const {  // from the block's first key on
    const Range keys = Intersect(BlockKeys(block), Visible(row));
    return {keys.begin - block * kKeys, keys.end - block * kKeys};
  }
  Slots SlotsOf(int64_t block) const;

  template <class T>
  const T* CacheRow(const Block& cache, int64_t slot) const {
    return cache.Row<T>(slot * a->kv_heads + kv_head);
  }
};

// A block of keys of some tasks that see the same.
struct Unit {
  std::span<const Task> tasks;  // the unit's own, and those side by side behind it
  int64_t block;
};

// The tasks of a call; those that differ only in the kv head follow one another. The lists are the
// calling thread's and keep their memory from call to call: it holds one plan at a time.
struct AttentionPlan {
  std::span<const Task> tasks;
  int64_t together;  // tasks that one thread runs side by side: all kv heads, or 1
  bool split;        // too few tasks for all threads: blocks of keys on different threads
  // Where split, blocks of all tasks before each group, and of all groups last.
  std::span<const int64_t> starts;

  int64_t groups() const { return static_cast<int64_t>(tasks.size()) / together; }
  // Where split: for each group of tasks, for each block, for each task of the group.
  int64_t units() const { return starts.back(); }
  Unit UnitAt(int64_t unit) const {
    const int64_t number = std::ranges::upper_bound(starts, unit) - starts.begin() - 1;
    const int64_t in_group = unit - starts[number];
    const std::span<const Task> group = tasks.subspan(number * together, together);
    const int64_t block = group.front().Blocks().begin + in_group / together;
    return {group.subspan(in_group % together), block};
  }
};

AttentionPlan PlanAttention(const AttentionArgs& a);

}  // namespace fusible::kernels
