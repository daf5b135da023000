#include "passes/edit.h"

#include <algorithm>

namespace fusible {

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

int DropDeadNodes(Graph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (ValueId output : graph.outputs) read[output] = true;
  std::vector<bool> alive(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    alive[i] = node.mutates || std::ranges::any_of(node.outputs, [&](ValueId v) { return read[v]; });
    if (!alive[i]) continue;
    for (ValueId input : node.inputs) {
      if (input != kAbsent) read[input] = true;
    }
  }
  size_t i = 0;
  return static_cast<int>(std::erase_if(graph.nodes, [&](const Node&) { return !alive[i++]; }));
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
