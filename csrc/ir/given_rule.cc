#include "ir/given_rule.h"

#include <algorithm>
#include <set>

#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"
#include "ir/rule_relations.h"
#include "ir/rule_types.h"
#include "ops/registry.h"

namespace fusible {
namespace {

constexpr std::string_view kViews[] = {"reshape", "slice", "transpose"};

[[noreturn]] void Refuse(const Rule& rule, const std::string& message) {
  throw GraphError(Cat(rule.name(), ": ", message));
}

std::string_view KindName(AttrKind kind) {
  static constexpr std::string_view kNames[] = {"int", "float", "bool", "str", "dtype", "ints"};
  return kNames[static_cast<int>(kind)];
}

// A bound attribute must be of the kind that the call takes: `eps` is no group size.
void CheckKinds(const Rule& rule, const Pattern& pattern) {
  for (const PatternNode& node : pattern.nodes) {
    for (const auto& [name, attr] : node.attrs) {
      const auto* bound = std::get_if<BoundAttr>(&attr);
      if (!bound || !node.op) continue;
      const AttrKind here = rule.op->signature().FindAttr(bound->name)->kind;
      const AttrKind there = node.op->signature().FindAttr(name)->kind;
      if (here == there) continue;
      Refuse(rule, Cat(bound->name, ": expected ", KindName(there), ", as ", name, " of ",
                       node.op->name(), " is, got ", KindName(here)));
    }
  }
}

std::set<int> ReadValues(const Pattern& body) {
  std::set<int> read(body.outputs.begin(), body.outputs.end());
  for (const PatternNode& node : body.nodes) {
    read.insert(node.operands.begin(), node.operands.end());
  }
  return read;
}

bool BindsAttr(const Pattern& pattern, const std::string& name) {
  return std::ranges::any_of(pattern.nodes, [&](const PatternNode& node) {
    return std::ranges::any_of(node.attrs, [&](const auto& attr) {
      const auto* bound = std::get_if<BoundAttr>(&attr.second);
      return bound && bound->name == name;
    });
  });
}

// Nothing that was found may get lost, and nothing may be computed for nobody.
void CheckReplacement(const Rule& rule) {
  const Signature& signature = rule.op->signature();
  const auto& outputs = rule.body.outputs;
  if (outputs.size() != signature.results.size() || std::ranges::count(outputs, -1) > 0) {
    Refuse(rule, Cat("replace: expected ", signature.results.size(), " results, got ",
                     outputs.size() - std::ranges::count(outputs, -1)));
  }
  const std::set<int> read = ReadValues(rule.body);
  for (size_t i = 0; i < signature.params.size(); ++i) {
    if (read.contains(static_cast<int>(i))) continue;
    Refuse(rule, Cat("replace: expected every operand that is found, which drops ",
                     signature.params[i].name));
  }
  for (const AttrSpec& attr : signature.attrs) {
    if (BindsAttr(rule.body, attr.name)) continue;
    Refuse(rule, Cat("replace: expected every attribute that is found, which drops ", attr.name));
  }
  for (const PatternNode& node : rule.body.nodes) {
    if (std::ranges::any_of(node.results, [&](int value) { return read.contains(value); })) {
      continue;
    }
    Refuse(rule, Cat("replace: expected calls that a result needs, got ",
                     node.op ? node.op->name() : node.opaque));
  }
}

void CheckText(const RuleText& text, const Rule& rule) {
  if (FindOp(rule.name())) {
    Refuse(rule, "expected a name of its own, got that of an operator");
  }
  if (text.find.empty() || text.find.size() > kMostPatterns) {
    Refuse(rule, Cat("find: expected 1 to ", kMostPatterns, " patterns, got ", text.find.size()));
  }
  if (text.each < 1) Refuse(rule, Cat("each: expected 1 or more, got ", text.each));
  for (const std::string& view : text.via) {
    if (std::ranges::count(kViews, view) == 0) {
      Refuse(rule, Cat("via: expected reshape, slice or transpose, got ", view));
    }
  }
  if (text.predicate && (text.predicate->name.empty() || text.predicate->version.empty())) {
    Refuse(rule, "predicate: expected a name and a version, which stand for it in keys");
  }
}

// The part of a text, with its name in front of what is wrong in it.
template <class F>
auto Named(const Rule& rule, std::string_view part, const F& read) {
  try {
    return read();
  } catch (const GraphError& error) {
    const std::string message = error.what();
    if (message.starts_with(rule.name() + ": ")) throw;
    throw GraphError(Cat(rule.name(), ": ", part, ": ", message), error.line, error.column);
  }
}

Rule Common(const RuleText& text) {
  Rule rule;
  auto op = std::make_shared<const Op>(Op(text.signature).Equals(text.replace));
  rule.op = op.get();
  rule.own = std::move(op);
  CheckText(text, rule);
  rule.via = text.via;
  rule.escape = text.escape;
  rule.each = text.each;
  rule.predicate = text.predicate;
  for (const std::string& condition : text.conditions) {
    rule.conditions.push_back(
        Named(rule, "where", [&] { return ParseCondition(condition, rule.op->signature()); }));
  }
  rule.body = Named(rule, "replace", [&] { return PatternOf(*rule.op, false, "replace"); });
  CheckKinds(rule, rule.body);
  CheckReplacement(rule);
  return rule;
}

// What stands there in the end must have the types that the call has.
std::string ReplacementProblem(const Rule& rule, const Predicate::Operands& operands,
                               const Binding& call) {
  try {
    ExpandEquals(*rule.op, operands, call.attrs);
    return "";
  } catch (const Error& error) {
    return BodyProblem(error.what());
  }
}

}  // namespace

std::vector<Rule> MakeRules(const RuleText& text) {
  const Rule common = Common(text);
  std::vector<Rule> rules;
  for (const std::string& body : text.find) {
    Rule rule = common;
    const Op find = Op(text.signature).Equals(body);
    rule.pattern = Named(rule, "find", [&] { return PatternOf(find, true, "find"); });
    if (rule.pattern.nodes.size() > kMostCalls) {
      Refuse(rule,
             Cat("find: expected at most ", kMostCalls, " calls, got ", rule.pattern.nodes.size()));
    }
    CheckRule(rule);
    if (rule.each > 1 && rule.pattern.nodes.size() < 2) {
      Refuse(rule, "each: expected several calls to find, which share all but the last, got one");
    }
    CheckKinds(rule, rule.pattern);
    if (ChangesNothing(rule)) Refuse(rule, "replace: expected a change, got what is found");
    CheckTypes(rule, find);
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::optional<Refusal> FindRefusal(const Rule& rule, const Predicate::Operands& operands,
                                   const Binding& call) {
  if (!rule.given()) return std::nullopt;
  for (const Condition& condition : rule.conditions) {
    std::string unmet = Unmet(condition, call);
    if (!unmet.empty()) return Refusal{"condition", std::move(unmet)};
  }
  std::string problem = ReplacementProblem(rule, operands, call);
  if (!problem.empty()) return Refusal{"replacement", std::move(problem)};
  std::string refusal = rule.predicate ? rule.predicate->test(*rule.op, operands, call) : "";
  if (!refusal.empty()) return Refusal{"predicate", std::move(refusal)};
  return std::nullopt;
}

}  // namespace fusible
