// The order of nodes and the numbers of values.
#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <span>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "core/cat.h"
#include "ir/graph.h"

namespace fusible {
namespace {

// For each node those that must come behind it: readers of its results, and, so that no opaque node
// moves across one that mutates, the opaque nodes that follow it.
class Successors {
 public:
  explicit Successors(const Graph& graph) : after_(graph.nodes.size()), before_(after_.size()) {
    const std::vector<int32_t> producers = Producers(graph);
    int32_t mutation = -1;
    std::vector<int32_t> since;  // opaque nodes behind the last mutation
    for (int32_t i = 0; i < static_cast<int32_t>(after_.size()); ++i) {
      const Node& node = graph.nodes[i];
      for (ValueId input : node.inputs) {
        if (input != kAbsent) Add(producers[input], i);
      }
      if (node.opaque.empty()) continue;
      Add(mutation, i);
      if (node.mutates) {
        for (int32_t earlier : since) Add(earlier, i);
        since.clear();
        mutation = i;
      } else {
        since.push_back(i);
      }
    }
  }

  const std::vector<int32_t>& after(int32_t node) const { return after_[node]; }
  std::vector<int32_t>& before() { return before_; }  // how many must come first

 private:
  void Add(int32_t from, int32_t to) {
    if (from < 0) return;
    after_[from].push_back(to);
    ++before_[to];
  }

  std::vector<std::vector<int32_t>> after_;
  std::vector<int32_t> before_;
};

bool IsSorted(const Graph& graph) {
  const std::vector<int32_t> producers = Producers(graph);
  for (int32_t i = 0; i < static_cast<int32_t>(graph.nodes.size()); ++i) {
    for (ValueId input : graph.nodes[i].inputs) {
      if (input != kAbsent && producers[input] >= i) return false;
    }
  }
  return true;
}

[[noreturn]] void FailCycle(const Graph& graph, const std::vector<int32_t>& before) {
  const auto stuck = std::find_if(before.begin(), before.end(), [](int32_t n) { return n > 0; });
  const Node& node = graph.nodes[stuck - before.begin()];
  throw GraphError(
      Cat("acyclic: ", LabelOf(graph, node), ": expected operands made before it, got a cycle"));
}

// Gives values new numbers in the order of mention.
class Numbering {
 public:
  explicit Numbering(size_t count) : number_(count, kAbsent) {}

  void Mention(ValueId* id) {
    if (*id == kAbsent) return;
    if (number_[*id] == kAbsent) {
      number_[*id] = static_cast<ValueId>(order_.size());
      order_.push_back(*id);
    }
    *id = number_[*id];
  }
  void MentionAll(std::span<ValueId> ids) {
    for (ValueId& id : ids) Mention(&id);
  }
  const std::vector<ValueId>& order() const { return order_; }  // new number -> old

 private:
  std::vector<ValueId> number_;
  std::vector<ValueId> order_;
};

// Keeps a body's inputs in order of first use, each outer value once, none unused.
void OrderRegionInputs(Node& node, Graph& body) {
  std::vector<ValueId> outer(body.values.size(), kAbsent);
  std::vector<ValueId> stands(body.values.size());
  for (size_t i = 0; i < stands.size(); ++i) stands[i] = static_cast<ValueId>(i);
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    const auto first = std::find(node.inputs.begin(), node.inputs.begin() + i, node.inputs[i]);
    outer[body.inputs[i].value] = node.inputs[i];
    stands[body.inputs[i].value] = body.inputs[first - node.inputs.begin()].value;
  }
  node.inputs.clear();
  body.inputs.clear();
  const auto use = [&](ValueId& id) {
    if (id == kAbsent) return;
    id = stands[id];
    if (outer[id] == kAbsent) return;
    body.inputs.push_back({id});
    node.inputs.push_back(std::exchange(outer[id], kAbsent));
  };
  for (Node& inner : body.nodes) std::for_each(inner.inputs.begin(), inner.inputs.end(), use);
  std::for_each(body.outputs.begin(), body.outputs.end(), use);
}

// A body's inputs take the names of the node's inputs; what else has one of these gets another.
void NameRegionInputs(const Graph& outer, const Node& node, Graph& body) {
  std::unordered_set<std::string_view> taken;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const std::string& name = outer.values[node.inputs[i]].name;
    body.values[body.inputs[i].value].name = name;
    taken.insert(name);
  }
  body.names = NameIndex();
  for (Node& inner : body.nodes) {
    for (ValueId id : inner.outputs) {
      std::string& name = body.values[id].name;
      if (taken.contains(name)) name = body.FreshName(name);
    }
  }
  body.names = NameIndex();
}

void CompactRegion(const Graph& outer, Node& node) {
  auto region = std::make_shared<Region>(*node.region);
  OrderRegionInputs(node, region->body);
  Compact(region->body);
  NameRegionInputs(outer, node, region->body);
  node.region = std::move(region);
}

}  // namespace

Users::Users(const Graph& graph) : first_(graph.values.size() + 1, 0) {
  const auto for_each_use_backwards = [&](const auto& use) {
    std::vector<int32_t> met(graph.values.size(), -1);  // the node that was last seen to read it
    for (auto i = static_cast<int32_t>(graph.nodes.size()); i-- > 0;) {
      for (ValueId input : graph.nodes[i].inputs) {
        if (input != kAbsent && std::exchange(met[input], i) != i) use(input, i);
      }
    }
  };
  for_each_use_backwards([&](ValueId value, int32_t) { ++first_[value]; });
  std::partial_sum(first_.begin(), first_.end(), first_.begin());  // where each value's users end
  nodes_.resize(first_.back());
  for_each_use_backwards([&](ValueId value, int32_t node) { nodes_[--first_[value]] = node; });
}

std::vector<int32_t> Producers(const Graph& graph) {
  std::vector<int32_t> producers(graph.values.size(), -1);
  for (int32_t i = 0; i < static_cast<int32_t>(graph.nodes.size()); ++i) {
    for (ValueId output : graph.nodes[i].outputs) producers[output] = i;
  }
  return producers;
}

void SortTopologically(Graph& graph) {
  if (IsSorted(graph)) return;
  Successors successors(graph);
  std::vector<int32_t>& before = successors.before();
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ready;
  for (int32_t i = 0; i < static_cast<int32_t>(before.size()); ++i) {
    if (before[i] == 0) ready.push(i);
  }
  std::vector<int32_t> order;
  while (!ready.empty()) {
    order.push_back(ready.top());
    ready.pop();
    for (int32_t next : successors.after(order.back())) {
      if (--before[next] == 0) ready.push(next);
    }
  }
  if (order.size() != before.size()) FailCycle(graph, before);
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (int32_t i : order) nodes.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(nodes);
}

void Compact(Graph& graph) {
  for (Node& node : graph.nodes) {
    if (node.region) CompactRegion(graph, node);
  }
  Numbering numbering(graph.values.size());
  for (Input& input : graph.inputs) numbering.Mention(&input.value);
  for (Node& node : graph.nodes) {
    numbering.MentionAll(node.inputs);
    numbering.MentionAll(node.outputs);
  }
  numbering.MentionAll(graph.outputs);
  std::vector<Value> values;
  values.reserve(numbering.order().size());
  TypeTable types;
  for (ValueId old : numbering.order()) {
    values.push_back({std::move(graph.values[old].name), types.Add(graph.TypeOf(old))});
  }
  graph.values = std::move(values);
  graph.types = std::move(types);
  graph.names = NameIndex();
}

}  // namespace fusible
