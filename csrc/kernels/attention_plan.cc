#include "kernels/attention_plan.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"

namespace fusible::kernels {
namespace {

// Rows of a task: the more share a packed block of keys, the less of the work is packing (half
// the most take 1.05 times as long). Several tasks a thread, where they stay large
// enough, let threads finish together.
constexpr int64_t kLeastRows = 32, kMostRows = 384;
constexpr int64_t kTasksPerThread = 4;

// A task of so few rows is bound by memory. Its kv heads go side by side, because they lie so in
// the cache.
constexpr int64_t kFewRows = 16;

int64_t TaskRows(const AttentionArgs& a) {
  const int64_t threads = ThreadCount();
  const int64_t each = a.query_start[a.sequences] * a.heads / threads;
  const int64_t most = threads > 1 ? kTasksPerThread : 1;
  const int64_t tasks = std::clamp<int64_t>(each / (2 * kLeastRows), 1, most);
  return std::clamp((each + tasks - 1) / tasks, kLeastRows, kMostRows);
}

void AddSequence(const AttentionArgs& a, int64_t s, int64_t rows, std::vector<Task>* tasks) {
  const int64_t begin = a.query_start[s], end = a.query_start[s + 1], group = a.heads / a.kv_heads;
  const int64_t step = std::max<int64_t>(1, rows / group);
  const int64_t pieces = (group + rows - 1) / rows, heads = (group + pieces - 1) / pieces;
  // The last queries see the most keys: they come first, so that threads finish together.
  for (int64_t chunk = (end - begin + step - 1) / step - 1; chunk >= 0; --chunk) {
    const int64_t first = begin + chunk * step;
    const int64_t count = std::min(step, end - first);
    const int64_t position = a.lengths[s] - (end - first);
    for (int64_t n = 0; n < a.kv_heads; ++n) {
      for (int64_t head = 0; head < group; head += heads) {
        const int64_t some = std::min(heads, group - head);
        tasks->push_back({&a, s, n, n * group + head, some, first, count, position});
      }
    }
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
  const int64_t rows = TaskRows(a);
  for (int64_t s = 0; s < a.sequences; ++s) {
    if (a.lengths[s] > 0) AddSequence(a, s, rows, &tasks);
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
