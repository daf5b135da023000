#include "passes/region_name.h"

#include <set>

#include "ir/match.h"
#include "ir/views.h"

namespace fusible {
namespace {

bool IsWhole(const Match& match, const std::set<ValueId>& results) {
  std::set<ValueId> given;
  for (int output : match.rule->pattern.outputs) given.insert(match.values[output]);
  return match.obstacles.empty() && given == results;
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
  for (const Node& node : body.nodes) {
    if (!IsView(node)) name += (name.empty() ? "" : "+") + node.op->name();
  }
  return name;
}

}  // namespace fusible
