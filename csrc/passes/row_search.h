// The regions of a few row operators that move the fewest bytes: an exact search.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace fusible {

// One bit a step, a value, or a read.
using Bits = uint64_t;

// What steps read: bytes that a region reads once for all its steps, unless it makes them.
struct RowRead {
  int64_t bytes = 0;
  int made = -1;  // the value it is, or is a view of; -1: of no step
};

// A value that is read outside of its step.
struct RowValue {
  int64_t bytes = 0;
  int step = 0;            // that makes it
  bool is_needed = false;  // by others than the steps, so that it must be written
};

// A row operator, or several that stay together.
struct RowStep {
  Bits reads = 0;
  Bits after = 0;           // steps that others must have read the values of before this one
  bool may_repeat = false;  // in several regions, each of which computes it for itself
};

// At most kMostSteps steps, in any order, with at most kMostValues values and as many reads.
struct RowProblem {
  static constexpr size_t kMostSteps = 10;
  static constexpr size_t kMostValues = 32;
  static constexpr size_t kMostReads = 64;

  std::vector<RowStep> steps;
  std::vector<RowValue> values;
  std::vector<RowRead> reads;
  // Whether several steps can be a region that writes these values: asked as late as possible.
  std::function<bool(Bits steps, Bits written)> fits;
};

// A region of one step or more. A step in several regions is computed in each, and its values are
// written by one of them, if at all.
struct PlannedRegion {
  Bits steps = 0;
  Bits written = 0;
};

struct RowPlan {
  int64_t bytes = 0;
  std::vector<PlannedRegion> regions;  // in an order in which they can run
};

// The regions that together move the fewest bytes; of those the fewest repeated steps, then the
// fewest regions. nullopt where none moves less than `bound`, or the search takes too many states.
std::optional<RowPlan> FindBestPlan(const RowProblem& problem, int64_t bound);

}  // namespace fusible
