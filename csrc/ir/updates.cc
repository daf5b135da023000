#include "ir/updates.h"

#include <algorithm>
#include <set>
#include <utility>

#include "ir/expand.h"
#include "ir/infer.h"
#include "ir/views.h"

namespace fusible {
namespace {

// Inputs whose memory a value may have, found by going back, and not through `stops`.
class Origins {
 public:
  Origins(const Graph& graph, std::set<ValueId> stops)
      : graph_(graph), producers_(Producers(graph)), stops_(std::move(stops)) {}

  std::set<ValueId> Of(ValueId result) const {
    std::set<ValueId> inputs, seen;
    std::vector<ValueId> todo{result};
    while (!todo.empty()) {
      const ValueId value = todo.back();
      todo.pop_back();
      if (value == kAbsent || !seen.insert(value).second) continue;
      if (value != result && stops_.contains(value)) continue;
      if (producers_[value] < 0) {
        inputs.insert(value);
      } else {
        const auto operands = OperandsOf(graph_.nodes[producers_[value]], value);
        todo.insert(todo.end(), operands.begin(), operands.end());
      }
    }
    return inputs;
  }

 private:
  std::vector<ValueId> OperandsOf(const Node& node, ValueId result) const {
    if (IsView(node)) return {node.inputs[0]};
    if (node.region) return OperandsIn(node.region->body, node, result);
    if (!node.op || node.op->equals().empty()) return MemoryOperands(node, result);
    const Graph body = ExpandEquals(*node.op, OperandTypes(graph_, node), node.attrs);
    Node present = node;  // an absent operand is no input of the body
    const ValueId* end = std::remove(present.inputs.begin(), present.inputs.end(), kAbsent);
    present.inputs.resize(end - present.inputs.begin(), kAbsent);
    return OperandsIn(body, present, result);
  }

  // The node's operands whose memory the result may take, as its body says.
  std::vector<ValueId> OperandsIn(const Graph& body, const Node& node, ValueId result) const {
    std::set<ValueId> stops;
    ValueId inner = kAbsent;
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (stops_.contains(node.outputs[k])) stops.insert(body.outputs[k]);
      if (node.outputs[k] == result) inner = body.outputs[k];
    }
    const std::set<ValueId> origins = Origins(body, std::move(stops)).Of(inner);
    std::vector<ValueId> operands;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (origins.contains(body.inputs[i].value)) operands.push_back(node.inputs[i]);
    }
    return operands;
  }

  const Graph& graph_;
  const std::vector<int32_t> producers_;
  const std::set<ValueId> stops_;
};

}  // namespace

std::vector<ValueId> MemoryOperands(const Node& node, ValueId result) {
  if (!node.op) return {};
  const auto r = std::ranges::find(node.outputs, result) - node.outputs.begin();
  const std::string& alias = node.op->signature().results[r].alias;
  if (alias.empty()) return {};
  const int param = node.op->signature().FindParam(alias);
  std::vector<ValueId> operands{node.inputs[param]};
  if (node.op->commutes() && param <= 1) operands.push_back(node.inputs[1 - param]);
  return operands;
}

std::map<ValueId, std::vector<int>> NewValueChoices(const Graph& graph) {
  std::map<ValueId, std::vector<int>> choices;
  for (const Input& input : graph.inputs) {
    if (input.kind == InputKind::kUpdated) choices[input.value];
  }
  if (choices.empty()) return choices;
  const Origins origins(graph, {graph.outputs.begin(), graph.outputs.end()});
  std::set<ValueId> looked_at;
  for (int k = 0; k < std::ssize(graph.outputs); ++k) {
    const ValueId output = graph.outputs[k];
    if (choices.contains(output) || !looked_at.insert(output).second) continue;
    for (const ValueId input : origins.Of(output)) {
      const auto known = choices.find(input);
      if (known != choices.end() && graph.TypeOf(input) == graph.TypeOf(output)) {
        known->second.push_back(k);
      }
    }
  }
  return choices;
}

void FindNewValues(Graph& graph) {
  const auto choices = NewValueChoices(graph);
  for (Input& input : graph.inputs) {
    if (input.new_value >= 0 || input.kind != InputKind::kUpdated) continue;
    const std::vector<int>& results = choices.at(input.value);
    if (results.size() == 1) input.new_value = results[0];
  }
}

}  // namespace fusible
