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
  const T* CacheRow(const Block& cache, int64_t slot) const {
    return cache.Row<T>(slot * a->kv_heads + kv_head);
  }
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
};

AttentionPlan PlanAttention(const AttentionArgs& a);

}  // namespace fusible::kernels
