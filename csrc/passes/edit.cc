#include "passes/edit.h"

#include <algorithm>

#include "ir/expand.h"

namespace fusible {

namespace {

// Operands that commute stand in any order: which one is the smaller number may have changed since
// they were sorted.
bool AreCrossed(const Node& call) { return call.op->commutes() && call.inputs[0] > call.inputs[1]; }

bool ReadTheSame(const Node& a, const Node& b) {
  if (AreCrossed(a) == AreCrossed(b)) return a.inputs == b.inputs;
  return a.inputs[0] == b.inputs[1] && a.inputs[1] == b.inputs[0] &&
         std::equal(a.inputs.begin() + 2, a.inputs.end(), b.inputs.begin() + 2, b.inputs.end());
}

}  // namespace

const Node* EqualCalls::FindOrAdd(const Node& call, int mutations) {
  size_t hash = reinterpret_cast<uintptr_t>(call.op) + static_cast<size_t>(mutations);
  const auto mix = [&](ValueId input) {
    hash = (hash ^ static_cast<size_t>(input)) * 0x9E3779B97F4A7C15;
    hash ^= hash >> 32;
  };
  const size_t crossed = AreCrossed(call) ? 1 : 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) mix(call.inputs[i < 2 ? i ^ crossed : i]);
  const auto [entry, fresh] = entries_.insert({&call, mutations, hash});
  return fresh ? nullptr : entry->call;
}

bool EqualCalls::Entry::operator==(const Entry& other) const {
  return call->op == other.call->op && mutations == other.mutations &&
         ReadTheSame(*call, *other.call) && call->attrs == other.call->attrs;
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

namespace {

void EraseNodes(Graph& graph, const std::vector<bool>& goes) {
  size_t i = 0;
  std::erase_if(graph.nodes, [&](const Node&) { return goes[i++]; });
}

}  // namespace

void DropDeadNodes(Graph& graph, Rewrites* rewrites) {
  std::vector<bool> read(graph.values.size(), false);
  for (ValueId output : graph.outputs) read[output] = true;
  std::vector<bool> dead(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    dead[i] = !node.mutates &&
              std::ranges::none_of(node.outputs, [&](ValueId v) { return read[v]; }) &&
              (!rewrites || rewrites->Take("dead-call", LabelOf(graph, node)));
    if (dead[i]) continue;
    for (ValueId input : node.inputs) {
      if (input != kAbsent) read[input] = true;
    }
  }
  EraseNodes(graph, dead);
}

void ShareEqualCalls(Graph& graph, Rewrites* rewrites) {
  EqualCalls calls;
  Replacements shared;
  int mutations = 0;
  std::vector<bool> goes(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (ValueId& input : node.inputs) input = shared.Of(input);
    mutations += node.mutates;
    const Node* same = node.op ? calls.FindOrAdd(node, mutations) : nullptr;
    if (!same || (rewrites && !rewrites->Take("equal-calls", LabelOf(graph, node)))) continue;
    goes[i] = true;
    for (size_t k = 0; k < node.outputs.size(); ++k) shared.Set(node.outputs[k], same->outputs[k]);
  }
  EraseNodes(graph, goes);
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
