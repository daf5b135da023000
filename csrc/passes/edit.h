// Changes to a graph that several passes make.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace fusible {

// Which value stands for which from now on.
class Replacements {
 public:
  void Set(ValueId from, ValueId to);
  ValueId Of(ValueId value) const;  // follows chains; kAbsent stays
  // Rewrites what nodes read and what the graph returns.
  void Apply(Graph& graph) const;

 private:
  std::vector<ValueId> to_;  // indexed by value, as far as it reaches; kAbsent: itself
};

// Drops nodes whose results nobody reads (nodes must be in topological order); an opaque node that
// mutates is read by the world. Returns how many.
int DropDeadNodes(Graph& graph);

// Makes equal calls of operators one: same operator, attributes, operands, and mutations before
// them. Returns how many calls went away.
int ShareEqualCalls(Graph& graph);

// How many opaque nodes that mutate stand before each node. What has another count is not the same
// call.
std::vector<int> MutationsBefore(const Graph& graph);

}  // namespace fusible
