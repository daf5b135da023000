#include "runtime/in_place.h"

#include <algorithm>
#include <map>

#include "ir/views.h"

namespace fusible {

InPlace::InPlace(const Graph& graph, const NodeBodies& bodies, const Reads& reads)
    : graph_(graph),
      bodies_(bodies),
      reads_(reads),
      producers_(Producers(graph)),
      whole_(graph.values.size(), true),
      candidates_(graph.nodes.size()),
      updates_(graph.nodes.size()) {
  FindWholes();
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const size_t results = graph.nodes[n].outputs.size();
    candidates_[n].resize(results);
    updates_[n].resize(results);
    for (size_t k = 0; bodies[n] && k < results; ++k) {
      for (const int input : TakeableInputs(bodies[n]->graph, static_cast<int>(k))) {
        if (MayTake(n, k, input)) candidates_[n][k].push_back(input);
      }
    }
  }
  for (const Input& input : graph.inputs) {
    if (input.new_value >= 0) FindUpdate(input.value, graph.outputs[input.new_value]);
  }
}

ValueId InPlace::Operand(int n, int input) const {
  return graph_.nodes[n].inputs[bodies_[n]->positions[input]];
}

void InPlace::FindWholes() {
  for (const Node& node : graph_.nodes) {
    if (!IsView(node)) continue;
    const ValueId in = node.inputs[0], out = node.outputs[0];
    const Sizes before = *ToSizes(graph_.TypeOf(in).shape);
    const Sizes after = *ToSizes(graph_.TypeOf(out).shape);
    const Sizes strides = ContiguousStrides(before);
    const auto seen = node.op->view()(graph_.TypeOf(in).shape, &strides, node.attrs).strides;
    whole_[out] =
        whole_[in] && Product(before) == Product(after) && seen == ContiguousStrides(after);
  }
}

bool InPlace::MayTake(int n, int k, int input) const {
  const Node& node = graph_.nodes[n];
  const ValueId operand = Operand(n, input), origin = reads_.Origin(operand);
  if (!(graph_.TypeOf(operand) == graph_.TypeOf(node.outputs[k]))) return false;
  if (!whole_[operand] || reads_.LastRead(operand) > n) return false;
  const auto beside = std::ranges::count_if(
      node.inputs, [&](ValueId in) { return in != kAbsent && reads_.Origin(in) == origin; });
  if (beside != 1) return false;
  // Rows of an operand that every row sees cannot be written one after the other.
  const bool whole_result = node.op && !node.op->signature().results[k].type.leading;
  const Graph& body = bodies_[n]->graph;
  return whole_result || !Reads(body).AsWhole(body.inputs[input].value);
}

void InPlace::FindUpdate(ValueId input, ValueId new_value) {
  struct Link {
    int n = -1, k = -1, input = -1;
    ValueId result = kAbsent;  // whose memory would be the operand's
  };
  std::map<ValueId, Link> links;  // by the value whose memory would be taken
  std::vector<ValueId> todo{reads_.Origin(new_value)};
  for (size_t at = 0; at < todo.size(); ++at) {
    const ValueId value = todo[at];
    if (value == input) {
      for (ValueId from = value; links.contains(from); from = links[from].result) {
        const Link& link = links[from];
        updates_[link.n][link.k] = link.input;
        std::vector<int>& candidates = candidates_[link.n][link.k];
        std::iter_swap(candidates.begin(), std::ranges::find(candidates, link.input));
      }
      return;
    }
    const int n = producers_[value];
    if (n < 0) continue;
    const Node& node = graph_.nodes[n];
    const auto k = static_cast<int>(std::ranges::find(node.outputs, value) - node.outputs.begin());
    if (updates_[n][k]) continue;  // it lies in another updated input's memory
    for (const int candidate : candidates_[n][k]) {
      const ValueId operand = reads_.Origin(Operand(n, candidate));
      const bool is_new = links.emplace(operand, Link{n, k, candidate, value}).second;
      if (is_new) todo.push_back(operand);
    }
  }
}

}  // namespace fusible
