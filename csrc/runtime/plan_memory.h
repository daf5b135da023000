// Offsets in one arena for values that live from a step to a step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fusible {

struct MemoryNeed {
  int64_t bytes = 0;
  int first = 0, last = 0;  // steps, both included
};

struct MemoryPlan {
  std::vector<int64_t> offsets;  // one a need, multiples of kAlignment
  int64_t bytes = 0;             // of the arena
};

// Needs that live at the same time never overlap. Greedy by size into the gap that fits best.
MemoryPlan PlanMemory(std::span<const MemoryNeed> needs);

}  // namespace fusible
