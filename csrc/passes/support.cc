#include "passes/support.h"

#include <algorithm>

#include "core/cat.h"
#include "ir/rows.h"

namespace fusible {
namespace {

bool Holds(const std::vector<AttrValue>& values, const AttrValue& value) {
  return std::ranges::count(values, value) > 0;
}

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
    if (!value || Holds(values, *value)) continue;
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

// Of what stands in place of a match with these attributes; what is not ours is not judged.
std::optional<Lack> FindBodyLack(const Target& target, const Rule& rule, const Attrs& attrs) {
  for (const PatternNode& call : rule.body.nodes) {
    if (!call.op) continue;
    const Attrs own = PartAttrs(call, attrs);
    if (rule.given()) {  // whatever stands in the replacement; else the parts have been looked at
      if (auto lack = FindLack(target, *call.op, own)) return lack;
      continue;
    }
    if (auto lack = FindVariantLack(target, *call.op, own)) return lack;
    if (auto lack = FindKernelLack(target, *call.op)) return lack;
  }
  return std::nullopt;
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
  return FindBodyLack(target, *match.rule, match.attrs);
}

std::optional<Lack> FindLack(const Target& target, const Rule& rule) {
  for (const PatternNode& part : rule.pattern.nodes) {
    if (auto lack = FindVariantLack(target, *part.op, PartAttrs(part, {}))) return lack;
  }
  for (const auto& [name, values] : FindLimits(target, rule)) {
    if (!values.empty()) continue;
    return Lack{"op_variant", Cat("give the operators in it a value of ", name,
                                  " in common, which ", target.name, " then has to list")};
  }
  return FindBodyLack(target, rule, {});
}

std::map<std::string, std::vector<AttrValue>> FindLimits(const Target& target, const Rule& rule) {
  std::map<std::string, std::vector<AttrValue>> limits;
  const auto limit = [&](const std::string& name, const std::vector<AttrValue>& values) {
    const auto [at, fresh] = limits.try_emplace(name, values);
    if (!fresh) std::erase_if(at->second, [&](const AttrValue& v) { return !Holds(values, v); });
  };
  const auto variants = [&](const Op& op) {
    const auto known = target.variants.find(op.name());
    return known == target.variants.end() ? decltype(known->second)() : known->second;
  };
  for (const Pattern* pattern : {&rule.body, &rule.pattern}) {
    for (const PatternNode& part : pattern->nodes) {
      if (!part.op) continue;
      const auto known = variants(*part.op);
      for (const auto& [name, attr] : part.attrs) {
        const auto* bound = std::get_if<BoundAttr>(&attr);
        if (bound && known.contains(name)) limit(bound->name, known.at(name));
      }
    }
  }
  return limits;
}

bool IsRowRule(const Rule& rule) {
  return std::ranges::all_of(rule.pattern.nodes, [](const PatternNode& part) {
    Node node;
    node.op = part.op;
    return IsRowOp(node);
  });
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
