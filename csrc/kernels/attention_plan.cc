#include "kernels/attention_plan.h"

#include <vector>

#include "core/threads.h"

namespace fusible::kernels {
namespace {

// Query heads that share a packed block of keys: enough that packing is a small part of the work.
constexpr int64_t kTaskRows = 192;

// A task of so few rows is bound by memory. Its kv heads go side by side, because they lie so in
// the cache and a page of memory is then read once for all (1.3 times faster).
constexpr int64_t kFewRows = 16;

void AddSequence(const AttentionArgs& a, int64_t s, std::vector<Task>* tasks) {
  const int64_t begin = a.query_start[s], end = a.query_start[s + 1];
  const int64_t step = std::max<int64_t>(1, kTaskRows / (a.heads / a.kv_heads));
  // The last queries see the most keys: they come first, so that threads finish together.
  for (int64_t chunk = (end - begin + step - 1) / step - 1; chunk >= 0; --chunk) {
    const int64_t first = begin + chunk * step;
    const int64_t count = std::min(step, end - first);
    const int64_t position = a.lengths[s] - (end - first);
    for (int64_t n = 0; n < a.kv_heads; ++n) tasks->push_back({&a, s, n, first, count, position});
  }
}

}  // namespace

Slots Task::SlotsOf(int64_t block) const {
  const int32_t* table = a->block_table + sequence * a->table_width;
  const Range keys = Intersect(BlockKeys(block), Keys());
  const int64_t base = block * kKeys;
  Slots slots;
  slots.block = block;
  slots.keys = {keys.begin - base, keys.end - base};
  int64_t page = keys.begin / a->page, offset = keys.begin % a->page;
  for (int64_t key = slots.keys.begin; key < slots.keys.end; ++key) {
    slots.at[key] = table[page] * a->page + offset;
    if (++offset < a->page) continue;
    offset = 0;
    ++page;
  }
  return slots;
}

AttentionPlan PlanAttention(const AttentionArgs& a) {
  static thread_local std::vector<Task> tasks;
  static thread_local std::vector<int64_t> starts;
  tasks.clear();
  for (int64_t s = 0; s < a.sequences; ++s) {
    if (a.lengths[s] > 0) AddSequence(a, s, &tasks);
  }
  AttentionPlan plan;
  plan.tasks = tasks;
  int64_t most = 0;
  for (const Task& task : plan.tasks) most = std::max(most, task.rows());
  const bool few = most <= kFewRows;
  plan.together = few ? a.kv_heads : 1;
  plan.split = few && plan.groups() < ThreadCount();
  if (!plan.split) return plan;
  starts.assign(1, 0);
  for (int64_t g = 0; g < plan.groups(); ++g) {
    const Range blocks = tasks[g * plan.together].Blocks();
    starts.push_back(starts.back() + (blocks.end - blocks.begin) * plan.together);
  }
  plan.starts = starts;
  return plan;
}

}  // namespace fusible::kernels
