// Where a rule's pattern lies in a graph, and what keeps it from fusing where it nearly does.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/pattern.h"

namespace fusible {

// Why something does not fuse: reason as in Miss (passes/pass.h), the node, the change that would
// help.
struct Obstacle {
  std::string reason;
  int32_t node = -1;
  std::string hint;
};

// An assignment of graph nodes to all nodes of a pattern. No two pattern nodes have the same node.
struct Match {
  const Rule* rule = nullptr;
  std::vector<int32_t> nodes;  // the graph node of each pattern node
  std::vector<ValueId>
      values;   // the graph value of each pattern value; kAbsent for an absent operand
  Attrs attrs;  // of the fused call
  // For each pattern node the views (graph nodes, first applied first) between the shape that the
  // fused operator runs over and the shape that this node had in the graph.
  std::vector<std::vector<int32_t>> views;
  std::vector<Obstacle>
      obstacles;  // in the order found; none: it may fuse, as far as this match goes

  int32_t root() const { return nodes.back(); }
  bool Contains(int32_t node) const;
  bool LooksThrough(int32_t view) const;
  // Whether the fused call gives this value of the graph: one of the pattern's outputs.
  bool Gives(ValueId value) const;
};

// Finds matches in one graph, which it indexes once and must not change meanwhile.
class Matcher {
 public:
  explicit Matcher(const Graph& graph);

  // The assignment with the fewest obstacles whose root is `root`; nullopt where the calls
  // themselves are others, or are connected in another way.
  std::optional<Match> At(const Rule& rule, int32_t root) const;

  const Graph& graph() const { return graph_; }
  std::span<const int32_t> users(ValueId value) const { return users_[value]; }
  int32_t producer(ValueId value) const { return producers_[value]; }
  bool IsResult(ValueId value) const { return results_[value]; }
  // How many opaque nodes that mutate stand before this node; nothing is moved across one.
  int mutations_before(int32_t node) const { return mutations_[node]; }
  // "y": how a node is called in reports.
  std::string Label(int32_t node) const;
  // How many nodes were looked at for matches so far: what matching costs, the same on any machine.
  // Who looks further says so by Look.
  int64_t looked_at() const { return looked_at_; }
  void Look() const { ++looked_at_; }

 private:
  const Graph& graph_;
  Users users_;
  std::vector<int32_t> producers_;
  std::vector<bool> results_;
  std::vector<int> mutations_;
  mutable int64_t looked_at_ = 0;
};

}  // namespace fusible
