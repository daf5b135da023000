#include "passes/support.h"

#include <algorithm>

#include "core/cat.h"

namespace fusible {
namespace {

std::string ValuesText(const std::vector<AttrValue>& values) {
  std::string text;
  for (const AttrValue& value : values) text += (text.empty() ? "" : " or ") + ToText(value);
  return text;
}

std::optional<Lack> FindVariantLack(const Target& target, const Op& op, const Attrs& attrs) {
  const auto known = target.variants.find(op.name());
  if (known == target.variants.end()) return std::nullopt;
  for (const auto& [name, values] : known->second) {
    const AttrValue* value = attrs.Find(name);
    if (!value || std::ranges::count(values, *value)) continue;
    return Lack{"op_variant", Cat("set ", name, " of ", op.name(), " to ", ValuesText(values),
                                  ", which ", target.name, " has; got ", ToText(*value))};
  }
  return std::nullopt;
}

// The attributes of one part of a fused call.
Attrs PartAttrs(const PatternNode& part, const Attrs& fused) {
  Attrs attrs;
  for (const auto& [name, pattern] : part.attrs) {
    if (const auto* value = std::get_if<AttrValue>(&pattern)) {
      attrs.Set(name, *value);
    } else if (const auto* bound = std::get_if<BoundAttr>(&pattern)) {
      if (const AttrValue* given = fused.Find(bound->name)) attrs.Set(name, *given);
    }
  }
  return attrs;
}

std::optional<Lack> FindKernelLack(const Target& target, const Op& op) {
  if (op.view() || target.Has(op.name())) return std::nullopt;
  return Lack{"no_kernel", Cat("list ", op.name(), " among the operators of ", target.name,
                               " once it has a kernel for it")};
}

bool Cost(const Target& target, std::string_view name, bool fallback) {
  const auto cost = target.costs.find(std::string(name));
  if (cost == target.costs.end()) return fallback;
  const bool* value = std::get_if<bool>(&cost->second);
  if (!value)
    throw ArgumentError(
        Cat("target: costs: ", name, ": expected true or false, got ", ToText(cost->second)));
  return *value;
}

}  // namespace

std::optional<Lack> FindLack(const Target& target, const Op& op, const Attrs& attrs) {
  if (auto lack = FindVariantLack(target, op, attrs)) return lack;
  if (const Rule* rule = FindRule(op.name())) {
    for (const PatternNode& part : rule->pattern.nodes) {
      if (auto lack = FindVariantLack(target, *part.op, PartAttrs(part, attrs))) return lack;
    }
  }
  return FindKernelLack(target, op);
}

std::optional<Lack> FindLack(const Target& target, const Graph& graph, const Match& match) {
  for (int32_t index : match.nodes) {
    const Node& node = graph.nodes[index];
    if (auto lack = FindVariantLack(target, *node.op, node.attrs)) return lack;
  }
  if (auto lack = FindVariantLack(target, *match.rule->op, match.attrs)) return lack;
  return FindKernelLack(target, *match.rule->op);
}

EscapePolicy EscapePolicyOf(const Target& target) {
  return {.recompute = Cost(target, "recompute", true), .keep = Cost(target, "keep", false)};
}

std::map<std::string, int> CountFusions(const Graph& graph) {
  std::map<std::string, int> counts;
  for (const Node& node : graph.nodes) {
    if (node.region || (node.op && !node.op->equals().empty())) ++counts[NodeName(node)];
  }
  return counts;
}

}  // namespace fusible
