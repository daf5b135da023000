// Which row operators of a graph run together, block by block.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/target.h"
#include "passes/pass.h"

namespace fusible {

// A region to be: row operators, the views between them, and what crosses its border.
struct RowGroup {
  std::vector<int32_t> members;   // row operators, ascending
  std::vector<int32_t> replaced;  // members that need not run beside the region any more
  std::vector<int32_t> views;     // between members
  Graph body;
  ValueIds inputs;   // of the outer graph, as the body's inputs
  ValueIds outputs;  // of the outer graph, as the body's outputs; made by members
};

// A region of more row operators would save no memory worth naming, and each that joins is checked
// with all that are there: without a bound, a chain of n takes n * n steps.
inline constexpr size_t kMostMembers = 64;

// Joins row operators that read each other or the same value, as far as the target's scratch goes,
// and then looks for regions that move fewer bytes (row_plan.h). Groups of one are left out; misses
// have the rule "rows".
std::vector<RowGroup> GroupRows(const Graph& graph, const Target& target, Report& report);

}  // namespace fusible
