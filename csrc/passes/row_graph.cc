#include "passes/row_graph.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "ir/views.h"
#include "passes/edit.h"

namespace fusible {
namespace {

// The operands of a row operator that `choose` takes, behind views.
template <class Choose>
std::vector<Traced> OperandsOf(const RowGraph& rows, int32_t index, const Choose& choose) {
  std::vector<Traced> operands;
  const Node& node = rows.node(index);
  const auto& params = node.op->signature().params;
  for (size_t i = 0; i < params.size(); ++i) {
    const ValueId value = node.inputs[i];
    if (value != kAbsent && choose(params[i])) operands.push_back(rows.Trace(value));
  }
  return operands;
}

// Appends the node to the body; `inner`: what stands in the body for a value, kAbsent for one that
// the body makes later.
void AddNode(const Graph& graph, Node node, std::map<ValueId, ValueId>* inner, RowGroup* group) {
  for (ValueId& input : node.inputs) {
    const auto [known, fresh] = inner->try_emplace(input, kAbsent);
    if (fresh) {
      known->second = group->body.AddInput(graph.values[input].name, graph.TypeOf(input));
      group->inputs.push_back(input);
    }
    input = known->second;
  }
  for (ValueId& output : node.outputs) {
    const ValueId value = group->body.AddValue(graph.values[output].name, graph.TypeOf(output));
    (*inner)[output] = value;
    output = value;
  }
  group->body.nodes.push_back(std::move(node));
}

}  // namespace

RowGraph::RowGraph(const Graph& graph)
    : graph_(graph),
      users_(graph),
      producers_(Producers(graph)),
      mutations_(fusible::MutationsBefore(graph)),
      results_(graph.values.size(), false) {
  for (ValueId output : graph.outputs) results_[output] = true;
}

Traced RowGraph::Trace(ValueId value) const {
  Traced traced{value, {}};
  for (int32_t node = producers_[value]; node >= 0 && IsView(graph_.nodes[node]);
       node = producers_[traced.source]) {
    traced.views.push_back(node);
    traced.source = graph_.nodes[node].inputs[0];
  }
  return traced;
}

std::vector<Traced> RowGraph::Operands(int32_t node, bool whole) const {
  return OperandsOf(*this, node, [=](const ParamSpec& p) { return p.type.leading != whole; });
}

std::vector<Traced> RowGraph::EarlyOperands(int32_t node) const {
  return OperandsOf(*this, node, [](const ParamSpec& p) { return !p.type.leading || p.bound; });
}

std::set<int32_t> RowGraph::ViewsBetween(const Members& members) const {
  std::set<int32_t> views;
  for (int32_t node : members) {
    for (const Traced& operand : Operands(node, false)) {
      if (!members.contains(producers_[operand.source])) continue;
      views.insert(operand.views.begin(), operand.views.end());
    }
  }
  return views;
}

bool RowGraph::Escapes(ValueId value, const Members& members,
                       const std::set<int32_t>& views) const {
  if (results_[value]) return true;
  return std::ranges::any_of(users_[value], [&](int32_t user) {
    if (members.contains(user)) return false;
    return !views.contains(user) || Escapes(graph_.nodes[user].outputs[0], members, views);
  });
}

RowGroup RowGraph::Build(const Members& members) const {
  const std::set<int32_t> views = ViewsBetween(members);
  return Build(members, [&](ValueId value) { return Escapes(value, members, views); });
}

RowGroup RowGraph::Build(const Members& members,
                         const std::function<bool(ValueId)>& is_given) const {
  RowGroup group;
  const std::set<int32_t> views = ViewsBetween(members);
  group.members.assign(members.begin(), members.end());
  group.views.assign(views.begin(), views.end());
  std::vector<int32_t> order;
  std::ranges::merge(group.members, group.views, std::back_inserter(order));
  std::map<ValueId, ValueId> inner = {{kAbsent, kAbsent}};
  for (int32_t index : order) {
    for (ValueId value : graph_.nodes[index].outputs) inner[value] = kAbsent;
  }
  for (int32_t index : order) AddNode(graph_, graph_.nodes[index], &inner, &group);
  for (int32_t index : group.members) {
    for (ValueId value : graph_.nodes[index].outputs) {
      if (!is_given(value)) continue;
      group.outputs.push_back(value);
      group.body.outputs.push_back(inner[value]);
    }
  }
  return group;
}

}  // namespace fusible
