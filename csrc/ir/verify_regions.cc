#include <algorithm>
#include <unordered_map>

#include "ir/rows.h"
#include "ir/verify_rules.h"
#include "ir/views.h"

namespace fusible {
namespace {

ValueId AliasOf(const Node& node, ValueId result);

// The input whose memory a result may take, from `y@x` to `y@x`; kAbsent where there is none.
// What is made from another result takes none: that result has it.
ValueId OriginOf(const Graph& graph, const std::vector<int32_t>& producers, ValueId result) {
  ValueId id = result;
  while (id != kAbsent && producers[id] >= 0) {
    id = AliasOf(graph.nodes[producers[id]], id);
    if (std::ranges::count(graph.outputs, id) > 0) return kAbsent;
  }
  return id;
}

// The operand whose memory a node's result may take, through regions; kAbsent where there is none.
ValueId AliasOf(const Node& node, ValueId result) {
  const auto at = std::find(node.outputs.begin(), node.outputs.end(), result);
  const size_t index = at - node.outputs.begin();
  if (node.op) {
    const std::string& alias = node.op->signature().results[index].alias;
    return alias.empty() ? kAbsent : node.inputs[node.op->signature().FindParam(alias)];
  }
  if (!node.region) return kAbsent;
  const Graph& body = node.region->body;
  const ValueId origin = OriginOf(body, Producers(body), body.outputs[index]);
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    if (body.inputs[i].value == origin) return node.inputs[i];
  }
  return kAbsent;
}

bool IsRegionName(std::string_view name) {
  while (true) {
    const size_t plus = name.find('+');
    if (!IsValueName(name.substr(0, plus))) return false;
    if (plus == std::string_view::npos) return true;
    name.remove_prefix(plus + 1);
  }
}

}  // namespace

void CheckUpdateOnce(const Subject& s) {
  std::unordered_map<ValueId, ValueId> updates;  // an updated input -> its new value
  for (const Input& input : s.graph.inputs) {
    if (input.kind == InputKind::kUpdated) updates[input.value] = input.value;
  }
  if (updates.empty()) return;
  const std::vector<int32_t> producers = Producers(s.graph);
  for (ValueId output : s.graph.outputs) {
    const ValueId id = OriginOf(s.graph, producers, output);
    const auto update = updates.find(id);
    if (update == updates.end() || output == id || update->second == output) continue;
    if (update->second != id) {
      s.Report(s.NameOf(id), "expected one new value, got ", s.NameOf(update->second), " and ",
               s.NameOf(output));
    }
    update->second = output;
  }
}

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
      const Value& outer = s.graph.values[node.inputs[i]];
      const Value& input = body.values[inner];
      if (outer.name != input.name || !(outer.type == input.type)) {
        s.Report(node, "expected input ", outer.name, ": ", outer.type, " of the body, got ",
                 input.name, ": ", input.type);
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
