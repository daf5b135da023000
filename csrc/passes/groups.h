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
  std::vector<int32_t> members;  // row operators, ascending
  std::vector<int32_t> views;    // between members
  Graph body;
  std::vector<ValueId> inputs;   // of the outer graph, as the body's inputs
  std::vector<ValueId> outputs;  // of the outer graph, as the body's outputs; made by members
};

// Joins row operators that read each other or the same value, as far as the target's scratch goes;
// groups of one are left out. Misses have the rule "rows".
std::vector<RowGroup> GroupRows(const Graph& graph, const Target& target,
                                std::vector<Miss>* misses);

}  // namespace fusible
