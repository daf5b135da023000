// What is asked of a graph in which row operators are gathered.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "passes/groups.h"

namespace fusible {

// A value behind views, and the views, from the outermost in.
struct Traced {
  ValueId source = kAbsent;
  std::vector<int32_t> views;
};

using Members = std::set<int32_t>;  // indices of nodes

class RowGraph {
 public:
  explicit RowGraph(const Graph& graph);  // which must outlive this

  const Graph& graph() const { return graph_; }
  int32_t size() const { return static_cast<int32_t>(graph_.nodes.size()); }
  const Node& node(int32_t index) const { return graph_.nodes[index]; }
  int32_t MakerOf(ValueId value) const { return producers_[value]; }  // -1: an input
  std::span<const int32_t> UsersOf(ValueId value) const { return users_[value]; }
  bool IsResult(ValueId value) const { return results_[value]; }
  int MutationsBefore(int32_t node) const { return mutations_[node]; }

  Traced Trace(ValueId value) const;
  // The operands of a row operator that differ from row to row, or the whole ones; behind views.
  std::vector<Traced> Operands(int32_t node, bool whole) const;
  // Those that must be there before the first row: all indices are checked before a row is written.
  std::vector<Traced> EarlyOperands(int32_t node) const;

  std::set<int32_t> ViewsBetween(const Members& members) const;
  // Whether anything but members, and views between them, reads the value.
  bool Escapes(ValueId value, const Members& members, const std::set<int32_t>& views) const;
  // The region of these members, which gives what others read; or what is asked of it.
  RowGroup Build(const Members& members) const;
  RowGroup Build(const Members& members, const std::function<bool(ValueId)>& is_given) const;

 private:
  const Graph& graph_;
  Users users_;
  std::vector<int32_t> producers_;
  std::vector<int> mutations_;
  std::vector<bool> results_;
};

}  // namespace fusible
