#include "passes/grouping.h"

#include <algorithm>
#include <numeric>

#include "ir/rows.h"
#include "ir/views.h"

namespace fusible {

Grouping::Grouping(const RowGraph& rows)
    : rows_(rows), group_(rows.size(), -1), reach_(rows.size()), seen_(rows.size(), 0) {
  std::iota(reach_.begin(), reach_.end(), 0);
  for (int32_t i = 0; i < rows.size(); ++i) {
    if (!IsRowOp(rows.node(i))) continue;
    group_[i] = size();
    members_.push_back({i});
  }
}

Members Grouping::Union(int into, int from) const {
  Members joined = members_[into];
  joined.insert(members_[from].begin(), members_[from].end());
  return joined;
}

void Grouping::Join(int into, int from) {
  for (int32_t node : members_[from]) group_[node] = into;
  members_[into].merge(members_[from]);
  members_[from].clear();
  Extend(*members_[into].begin(), *members_[into].rbegin());
}

void Grouping::Dissolve(int group) { members_[group].clear(); }

void Grouping::Add(const Members& members, const std::set<ValueId>& written) {
  const int group = size();
  for (int32_t node : members) {
    // A node is at home where it is written, or else anywhere.
    const bool is_home = members_[group_[node]].empty() ||
                         std::ranges::any_of(rows_.node(node).outputs, [&](ValueId value) {
                           return written.contains(value);
                         });
    const int other = is_home ? std::exchange(group_[node], group) : group;
    if (!is_home || !members_[other].empty()) others_.emplace(node, other);
  }
  members_.push_back(members);
  written_.emplace(group, written);
  Extend(*members.begin(), *members.rbegin());
}

RowGroup Grouping::Build(int group) const {
  const auto written = written_.find(group);
  if (written == written_.end()) {
    RowGroup built = rows_.Build(members_[group]);
    built.replaced = built.members;
    return built;
  }
  const auto is_written = [&](ValueId value) { return written->second.contains(value); };
  RowGroup built = rows_.Build(members_[group], is_written);
  for (int32_t node : built.members) {
    if (!others_.contains(node) || std::ranges::any_of(rows_.node(node).outputs, is_written)) {
      built.replaced.push_back(node);
    }
  }
  return built;
}

// Behind this node nothing leads back to the members: no group that begins before it ends later.
int32_t Grouping::Horizon(const Members& members) const {
  int32_t horizon = *members.rbegin();
  while (reach_[horizon] > horizon) horizon = reach_[horizon];
  return horizon;
}

// A group that begins here ends there.
void Grouping::Extend(int32_t begin, int32_t end) {
  for (int32_t i = begin; i < end && reach_[i] < end; ++i) reach_[i] = end;
}

int32_t Grouping::FindDetour(const Members& members, const std::set<int32_t>& views) const {
  const int32_t horizon = Horizon(members);
  std::vector<int32_t> stack(members.begin(), members.end());
  ++search_;
  for (int32_t node : stack) seen_[node] = search_;
  while (!stack.empty()) {
    const int32_t node = stack.back();
    stack.pop_back();
    const bool inside = members.contains(node) || views.contains(node);
    for (ValueId output : rows_.node(node).outputs) {
      for (int32_t user : rows_.UsersOf(output)) {
        if (members.contains(user) && !inside) return node;
        if (user <= horizon) Visit(user, &stack);
      }
    }
  }
  return -1;
}

Members Grouping::FindBehind(const Members& from, const Members& cluster) const {
  const int32_t horizon = Horizon(cluster);
  Members behind;
  std::vector<int32_t> stack;
  ++search_;
  for (int32_t node : from) {
    for (ValueId output : rows_.node(node).outputs) VisitReaders(output, cluster, &stack);
  }
  while (!stack.empty()) {
    const int32_t node = stack.back();
    stack.pop_back();
    for (ValueId output : rows_.node(node).outputs) {
      for (int32_t user : rows_.UsersOf(output)) {
        if (cluster.contains(user)) {
          behind.insert(user);
        } else if (user <= horizon) {
          Visit(user, &stack);
        }
      }
    }
  }
  return behind;
}

// Those outside of the cluster, behind views.
void Grouping::VisitReaders(ValueId value, const Members& cluster,
                            std::vector<int32_t>* stack) const {
  for (int32_t user : rows_.UsersOf(value)) {
    if (cluster.contains(user)) continue;
    if (IsView(rows_.node(user))) {
      VisitReaders(rows_.node(user).outputs[0], cluster, stack);
    } else {
      Visit(user, stack);
    }
  }
}

void Grouping::Visit(int32_t node, std::vector<int32_t>* stack) const {
  if (seen_[node] == search_) return;
  const auto visit = [&](int32_t each) {
    if (seen_[each] != search_) stack->push_back(each);
    seen_[each] = search_;
  };
  visit(node);
  if (group_[node] < 0) return;
  std::ranges::for_each(members_[group_[node]], visit);
  const auto [first, last] = others_.equal_range(node);
  for (auto other = first; other != last; ++other) {
    std::ranges::for_each(members_[other->second], visit);
  }
}

}  // namespace fusible
