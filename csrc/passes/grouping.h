// Which group each row operator is in, and what lies between groups.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "passes/row_graph.h"

namespace fusible {

class Grouping {
 public:
  // Each row operator is a group of its own.
  explicit Grouping(const RowGraph& rows);  // which must outlive this

  int size() const { return static_cast<int>(members_.size()); }
  int GroupOf(int32_t node) const { return group_[node]; }  // -1: not a row operator
  // Empty where the group has become part of another.
  const Members& MembersOf(int group) const { return members_[group]; }
  // Whether the maker is computed in the group of its reader.
  bool AreTogether(int32_t maker, int32_t reader) const {
    return members_[group_[reader]].contains(maker);
  }
  Members Union(int into, int from) const;
  void Join(int into, int from);
  // A group that writes these values, in the place of groups of the same row operators. Some of
  // them may be members of several groups, each of which computes them.
  void Add(const Members& members, const std::set<ValueId>& written);
  void Dissolve(int group);
  // The group as a region to be.
  RowGroup Build(int group) const;

  // A node outside that needs the members' results and that a member needs, groups counting as one
  // node; -1 where there is none.
  int32_t FindDetour(const Members& members, const std::set<int32_t>& views) const;
  // Nodes of the cluster that need results of `from` through nodes outside of the cluster, other
  // than views, groups counting as one node.
  Members FindBehind(const Members& from, const Members& cluster) const;

 private:
  int32_t Horizon(const Members& members) const;
  void Extend(int32_t begin, int32_t end);
  void Visit(int32_t node, std::vector<int32_t>* stack) const;
  void VisitReaders(ValueId value, const Members& cluster, std::vector<int32_t>* stack) const;

  const RowGraph& rows_;
  std::vector<int> group_;                    // of each node
  std::vector<Members> members_;              // of each group
  std::map<int, std::set<ValueId>> written_;  // by groups that were added
  std::multimap<int32_t, int> others_;        // further groups that a node is a member of
  std::vector<int32_t> reach_;                // where groups end that begin at or before a node
  mutable int64_t search_ = 0;  // the present walk, and the last one that met each node: a walk
  mutable std::vector<int64_t> seen_;  // costs what it meets, not what the graph holds
};

}  // namespace fusible
