// What the executor runs as a row program for one node: a region's body, what a fused operator
// without a kernel equals, or the one row operator itself.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace fusible {

struct NodeBody {
  Graph graph;
  int prefix = 0;
  std::vector<int> positions;  // of the body's inputs among the node's
};

// Every size of the graph is a number. nullopt for a view and for a kernel of whole tensors.
// UnsupportedError where the node has neither kernel nor rows.
std::optional<NodeBody> BodyOf(const Graph& graph, const Node& node);

// The body's inputs whose very memory result k may take, by the `y@x` of its operators and of those
// before it; an operator that commutes may take either operand's. Nearest first, declared ones
// first.
std::vector<int> TakeableInputs(const Graph& body, int k);

// Bytes a call has to move: inputs and results once each; of a table that indices select from, no
// more than the largest operand or result that has rows. Flops as the operators say.
struct Work {
  int64_t bytes = 0, flops = 0;
};
Work WorkOf(const Graph& body);

// The same of a node that runs as a kernel of whole tensors.
Work WorkOf(const Graph& graph, const Node& node);

}  // namespace fusible
