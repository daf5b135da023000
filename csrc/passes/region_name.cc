#include "passes/region_name.h"

#include <algorithm>
#include <set>

#include "core/cat.h"
#include "ir/match.h"
#include "ir/views.h"

namespace fusible {
namespace {

bool IsWhole(const Match& match, const std::set<ValueId>& results) {
  std::set<ValueId> given;
  for (int output : match.rule->pattern.outputs) given.insert(match.values[output]);
  return match.obstacles.empty() && given == results;
}

// Names of operators by how many of them lie between a node and the inputs: the order of the
// dataflow alone, so that independent nodes may stand as they like.
std::vector<std::pair<int, std::string_view>> PartsByDepth(const Graph& body) {
  std::vector<int> depth(body.values.size(), 0);
  std::vector<std::pair<int, std::string_view>> parts;
  for (const Node& node : body.nodes) {
    int deepest = 0;
    for (ValueId input : node.inputs) {
      if (input != kAbsent) deepest = std::max(deepest, depth[input]);
    }
    if (!IsView(node)) parts.emplace_back(deepest++, node.op->name());
    for (ValueId output : node.outputs) depth[output] = deepest;
  }
  std::ranges::sort(parts);
  return parts;
}

}  // namespace

const Op* FindEqualOperator(const Graph& body) {
  const Matcher matcher(body);
  const std::set<ValueId> results(body.outputs.begin(), body.outputs.end());
  for (const Rule& rule : AllRules()) {
    if (rule.pattern.nodes.size() != body.nodes.size()) continue;
    for (int32_t root = 0; root < static_cast<int32_t>(body.nodes.size()); ++root) {
      const auto match = matcher.At(rule, root);
      if (match && IsWhole(*match, results)) return rule.op;
    }
  }
  return nullptr;
}

std::string RegionName(const Graph& body) {
  if (const Op* op = FindEqualOperator(body)) return op->name();
  std::string name;
  for (const auto& [depth, part] : PartsByDepth(body)) name += Cat(name.empty() ? "" : "+", part);
  return name;
}

}  // namespace fusible
