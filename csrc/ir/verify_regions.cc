#include <algorithm>

#include "ir/rows.h"
#include "ir/verify_rules.h"
#include "ir/views.h"

namespace fusible {
namespace {

bool IsRegionName(std::string_view name) {
  while (true) {
    const size_t plus = name.find('+');
    if (!IsValueName(name.substr(0, plus))) return false;
    if (plus == std::string_view::npos) return true;
    name.remove_prefix(plus + 1);
  }
}

}  // namespace

void CheckRegionName(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (node.region && !IsRegionName(node.region->name)) {
      s.Report(node, "expected operators joined by +, got `", node.region->name, "`");
    }
  }
}

void CheckRegionInputs(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (!node.region) continue;
    const Graph& body = node.region->body;
    if (body.inputs.size() != node.inputs.size()) {
      s.Report(node, "expected ", body.inputs.size(), " operands, got ", node.inputs.size());
      continue;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId inner = body.inputs[i].value;
      if (node.inputs[i] == kAbsent || inner < 0 ||
          inner >= static_cast<int64_t>(body.values.size())) {
        s.Report(node, "expected operand ", i, " of the region, got none");
        continue;
      }
      const std::string& outer = s.NameOf(node.inputs[i]);
      const Type& type = s.graph.TypeOf(node.inputs[i]);
      const std::string& input = body.values[inner].name;
      if (outer != input || !(type == body.TypeOf(inner))) {
        s.Report(node, "expected input ", outer, ": ", type, " of the body, got ", input, ": ",
                 body.TypeOf(inner));
      }
      if (body.inputs[i].kind != InputKind::kPlain)
        s.Report(node, "expected plain inputs in the body");
    }
  }
}

void CheckRegionOutputs(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (!node.region) continue;
    const Graph& body = node.region->body;
    if (body.outputs.size() != node.outputs.size()) {
      s.Report(node, "expected ", body.outputs.size(), " results, got ", node.outputs.size());
      continue;
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const ValueId inner = body.outputs[i];
      if (inner < 0 || inner >= static_cast<int64_t>(body.values.size())) {
        s.Report(node, "expected result ", i, " of the body, got none");
      } else if (const Type& got = s.graph.TypeOf(node.outputs[i]); !(got == body.TypeOf(inner))) {
        s.Report(s.NameOf(node.outputs[i]), "expected ", body.TypeOf(inner), ", got ", got);
      }
    }
  }
}

void CheckRegionRows(const Subject& s) {
  if (!s.region) return;
  for (const Node& node : s.graph.nodes) {
    if (!IsRowOp(node) && !IsView(node)) {
      s.Report(node, "expected row operators and views in a region, got ", NodeName(node));
    }
  }
}

void CheckRegionPrefix(const Subject& s) {
  if (!s.region || CommonPrefix(s.graph)) return;
  s.Report(s.region->region->name, "expected leading dimensions in common, operands from outside");
}

}  // namespace fusible
