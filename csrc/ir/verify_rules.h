// What the verifier's rules see, and those of them that look into regions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/cat.h"
#include "ir/verify.h"

namespace fusible {

// What a rule sees: one graph or one region's body.
struct Subject {
  const Graph& graph;
  const Node* region;  // nullptr for a whole graph
  std::string_view rule;
  std::vector<Violation>& found;

  template <class... Parts>
  void Report(const std::string& where, const Parts&... message) const {
    found.push_back({std::string(rule), where, Cat(message...)});
  }
  template <class... Parts>
  void Report(const Node& node, const Parts&... message) const {
    Report(Label(node), message...);
  }
  bool Known(ValueId id) const { return id >= 0 && id < static_cast<ValueId>(graph.values.size()); }
  std::string Label(const Node& node) const {
    const bool named = !node.outputs.empty() && Known(node.outputs[0]);
    return named ? graph.values[node.outputs[0]].name : NodeName(node);
  }
  const std::string& NameOf(ValueId id) const { return graph.values[id].name; }
};

void CheckRegionName(const Subject& s);
void CheckRegionInputs(const Subject& s);
void CheckRegionOutputs(const Subject& s);
void CheckRegionRows(const Subject& s);
void CheckRegionPrefix(const Subject& s);

}  // namespace fusible
