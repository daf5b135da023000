#include "runtime/plan_memory.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/arena.h"

namespace fusible {
namespace {

bool LiveTogether(const MemoryNeed& a, const MemoryNeed& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Memory taken at the time of a need: begin and end.
using Taken = std::vector<std::pair<int64_t, int64_t>>;

// The start of the smallest gap of at least `bytes`, else the end of all that is taken.
int64_t BestFit(Taken& taken, int64_t bytes) {
  std::ranges::sort(taken);
  int64_t best = -1, best_size = 0, end = 0;
  for (const auto& [from, to] : taken) {
    const int64_t gap = from - end;
    if (gap >= bytes && (best < 0 || gap < best_size)) {
      best = end;
      best_size = gap;
    }
    end = std::max(end, to);
  }
  return best < 0 ? end : best;
}

}  // namespace

MemoryPlan PlanMemory(std::span<const MemoryNeed> needs) {
  std::vector<size_t> order(needs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return needs[a].bytes > needs[b].bytes; });
  MemoryPlan plan;
  plan.offsets.resize(needs.size());
  Taken taken;
  for (size_t i = 0; i < order.size(); ++i) {
    const MemoryNeed& need = needs[order[i]];
    taken.clear();
    for (size_t j = 0; j < i; ++j) {
      const MemoryNeed& placed = needs[order[j]];
      if (!LiveTogether(need, placed)) continue;
      const int64_t offset = plan.offsets[order[j]];
      taken.emplace_back(offset, offset + AlignUp(placed.bytes));
    }
    const int64_t offset = BestFit(taken, AlignUp(need.bytes));
    plan.offsets[order[i]] = offset;
    plan.bytes = std::max(plan.bytes, offset + AlignUp(need.bytes));
  }
  return plan;
}

}  // namespace fusible
