// Changes to a graph that several passes make.
#pragma once

#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "passes/rewrites.h"

namespace fusible {

// Calls of operators, to find those that compute the same: same operator, attributes, operands, and
// mutations before them (see MutationsBefore).
class EqualCalls {
 public:
  // A call that was added and is equal to this one; nullptr where there is none, and then this one
  // is added: it must stay where it is, with what it is.
  const Node* FindOrAdd(const Node& call, int mutations);

 private:
  struct Entry {
    const Node* call;
    int mutations;
    size_t hash;
    bool operator==(const Entry& other) const;
  };
  struct HashOfEntry {
    size_t operator()(const Entry& entry) const { return entry.hash; }
  };
  std::unordered_set<Entry, HashOfEntry> entries_;
};

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
// mutates is read by the world. Asks `rewrites` before each, readers before what they read; without
// it, all go as a part of another rewrite.
void DropDeadNodes(Graph& graph, Rewrites* rewrites = nullptr);

// Makes equal calls of operators one: same operator, attributes, operands, and mutations before
// them. Asks `rewrites` before each; without it, all are shared as a part of another rewrite.
void ShareEqualCalls(Graph& graph, Rewrites* rewrites = nullptr);

// Replaces calls by their Equals bodies, as Expand does, each a rewrite "expand".
void ExpandCalls(Graph& graph, bool (*choose)(const Op&), Rewrites& rewrites);

// How many opaque nodes that mutate stand before each node. What has another count is not the same
// call.
std::vector<int> MutationsBefore(const Graph& graph);

}  // namespace fusible
