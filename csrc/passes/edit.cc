#include "passes/edit.h"

#include <algorithm>
#include <unordered_map>

#include "core/cat.h"
#include "ir/expand.h"

namespace fusible {

std::string CallText(const Node& call, int mutations) {
  std::string text = Cat(call.op->name(), '@', mutations);
  for (ValueId input : call.inputs) text += Cat(' ', input);
  for (const auto& [name, value] : call.attrs) text += Cat(' ', name, '=', ToText(value));
  return text;
}

void Replacements::Set(ValueId from, ValueId to) {
  if (from >= static_cast<ValueId>(to_.size())) to_.resize(from + 1, kAbsent);
  to_[from] = to;
}

ValueId Replacements::Of(ValueId value) const {
  while (value >= 0 && value < static_cast<ValueId>(to_.size()) && to_[value] != kAbsent) {
    value = to_[value];
  }
  return value;
}

void Replacements::Apply(Graph& graph) const {
  for (Node& node : graph.nodes) {
    for (ValueId& input : node.inputs) input = Of(input);
  }
  for (ValueId& output : graph.outputs) output = Of(output);
}

void DropDeadNodes(Graph& graph, Rewrites* rewrites) {
  std::vector<bool> read(graph.values.size(), false);
  for (ValueId output : graph.outputs) read[output] = true;
  std::vector<bool> alive(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    alive[i] = node.mutates ||
               std::ranges::any_of(node.outputs, [&](ValueId v) { return read[v]; }) ||
               (rewrites && !rewrites->Take("dead-call", LabelOf(graph, node)));
    if (!alive[i]) continue;
    for (ValueId input : node.inputs) {
      if (input != kAbsent) read[input] = true;
    }
  }
  size_t i = 0;
  std::erase_if(graph.nodes, [&](const Node&) { return !alive[i++]; });
}

void ShareEqualCalls(Graph& graph, Rewrites* rewrites) {
  std::unordered_map<std::string, std::vector<ValueId>> calls;
  const std::vector<int> mutations = MutationsBefore(graph);
  Replacements shared;
  std::vector<Node> kept;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node node = std::move(graph.nodes[i]);
    for (ValueId& input : node.inputs) input = shared.Of(input);
    const auto [call, fresh] = node.op
                                   ? calls.try_emplace(CallText(node, mutations[i]), node.outputs)
                                   : std::pair(calls.end(), true);
    if (fresh || (rewrites && !rewrites->Take("equal-calls", LabelOf(graph, node)))) {
      kept.push_back(std::move(node));
      continue;
    }
    for (size_t k = 0; k < node.outputs.size(); ++k) shared.Set(node.outputs[k], call->second[k]);
  }
  graph.nodes = std::move(kept);
  shared.Apply(graph);
}

void ExpandCalls(Graph& graph, bool (*choose)(const Op&), Rewrites& rewrites) {
  Expand(graph, [&](const Node& node) {
    return node.op && choose(*node.op) && rewrites.Take("expand", LabelOf(graph, node));
  });
}

std::vector<int> MutationsBefore(const Graph& graph) {
  std::vector<int> before;
  int count = 0;
  for (const Node& node : graph.nodes) {
    before.push_back(count);
    count += node.mutates;
  }
  return before;
}

}  // namespace fusible
