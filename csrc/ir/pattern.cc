#include "ir/pattern.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "core/cat.h"
#include "core/error.h"
#include "ir/key.h"
#include "ir/syntax.h"
#include "ops/registry.h"

namespace fusible {
namespace {

// Builds the pattern of one body; apart: the calls of fused operators in it are taken apart.
class PatternBuilder {
 public:
  PatternBuilder(const Op& op, bool apart, std::string_view where)
      : op_(op), apart_(apart), where_(where) {}

  Pattern Build() {
    const auto& params = op_.signature().params;
    pattern_.operands = static_cast<int>(params.size());
    pattern_.makers.assign(params.size(), -1);
    std::vector<int> operands;
    for (int i = 0; i < pattern_.operands; ++i) operands.push_back(i);
    std::map<std::string, AttrPattern, std::less<>> attrs;
    for (const AttrSpec& spec : op_.signature().attrs) attrs[spec.name] = BoundAttr{spec.name};
    pattern_.outputs = Append(op_, operands, attrs);
    return std::move(pattern_);
  }

 private:
  using AttrMap = std::map<std::string, AttrPattern, std::less<>>;
  using Scope = std::map<std::string_view, int>;

  // The body of `op` called with these operands and attributes; its results as values of the
  // pattern.
  std::vector<int> Append(const Op& op, const std::vector<int>& operands, const AttrMap& attrs) {
    const syntax::Body body = syntax::ParseEqualsSyntax(op.equals());
    Scope scope;
    for (size_t i = 0; i < operands.size(); ++i) {
      scope[op.signature().params[i].name] = operands[i];
    }
    for (const syntax::Statement& statement : body.statements) AppendCall(statement, attrs, &scope);
    std::vector<int> results;
    for (const syntax::Return& result : body.returns) {
      results.push_back(Find(scope, result.value));
    }
    return results;
  }

  void AppendCall(const syntax::Statement& statement, const AttrMap& outer, Scope* scope) {
    std::vector<int> operands;
    for (const syntax::Name& name : statement.operands) operands.push_back(Find(*scope, name));
    const std::vector<int> results = statement.callee.text == "opaque"
                                         ? AppendOpaque(statement, operands, outer)
                                         : AppendOp(statement, operands, outer);
    for (size_t i = 0; i < results.size(); ++i) {
      (*scope)[statement.targets[i].name.text] = results[i];
    }
  }

  std::vector<int> AppendOp(const syntax::Statement& statement, std::vector<int> operands,
                            const AttrMap& outer) {
    const Op* callee = FindOp(statement.callee.text);
    if (!callee) Refuse(Cat("expected an operator, got ", statement.callee.text));
    const Signature& signature = callee->signature();
    if (operands.size() > signature.params.size()) {
      Refuse(Cat(callee->name(), ": expected at most ", signature.params.size(), " operands, got ",
                 operands.size()));
    }
    operands.resize(signature.params.size(), -1);
    const AttrMap attrs = CallAttrs(*callee, statement, outer);
    PatternNode node{.op = callee, .opaque = "", .operands = operands, .attrs = {}, .results = {}};
    std::vector<int> results = callee->equals().empty() || !apart_
                                   ? AppendNode(node, attrs, signature.results.size())
                                   : Append(*callee, operands, attrs);
    if (results.size() != statement.targets.size()) {
      Refuse(Cat(callee->name(), ": expected ", results.size(), " results, got ",
                 statement.targets.size()));
    }
    return results;
  }

  // A call of what is not ours: its attributes are its own, and it has the results that it is
  // given.
  std::vector<int> AppendOpaque(const syntax::Statement& statement, std::vector<int> operands,
                                const AttrMap& outer) {
    PatternNode node{.op = nullptr,
                     .opaque = OpaqueName(statement),
                     .operands = std::move(operands),
                     .attrs = {},
                     .results = {}};
    AttrMap attrs;
    for (const syntax::Attr& given : statement.attrs) {
      if (given.name.text != "name") {
        attrs[std::string(given.name.text)] = GivenAttr(given, {}, outer);
      }
    }
    return AppendNode(node, attrs, statement.targets.size());
  }

  std::string OpaqueName(const syntax::Statement& statement) const {
    const syntax::Attr* name = statement.FindAttr("name");
    const auto* value = name ? std::get_if<AttrValue>(&name->value) : nullptr;
    const auto* text = value ? std::get_if<std::string>(value) : nullptr;
    if (!text || text->empty()) Refuse("opaque: name: expected a string");
    if (statement.FindAttr("mutates")) {
      Refuse("opaque: expected a call without effects, got mutates");
    }
    return *text;
  }

  std::vector<int> AppendNode(PatternNode node, const AttrMap& attrs, size_t results) {
    node.attrs.assign(attrs.begin(), attrs.end());
    for (size_t i = 0; i < results; ++i) {
      node.results.push_back(static_cast<int>(pattern_.makers.size()));
      pattern_.makers.push_back(static_cast<int>(pattern_.nodes.size()));
    }
    pattern_.nodes.push_back(node);
    return node.results;
  }

  AttrMap CallAttrs(const Op& callee, const syntax::Statement& statement, const AttrMap& outer) {
    AttrMap attrs;
    for (const AttrSpec& spec : callee.signature().attrs) {
      AttrPattern& attr = attrs[spec.name];
      if (const syntax::Attr* given = statement.FindAttr(spec.name)) {
        attr = GivenAttr(*given, spec, outer);
      } else if (spec.default_value) {
        attr = *spec.default_value;
      }
    }
    for (const syntax::Attr& given : statement.attrs) {
      if (callee.signature().FindAttr(given.name.text)) continue;
      Refuse(Cat(callee.name(), ": expected one of its attributes, got ", given.name.text));
    }
    return attrs;
  }

  AttrPattern GivenAttr(const syntax::Attr& given, const AttrSpec& spec, const AttrMap& outer) {
    if (const auto* name = std::get_if<syntax::Name>(&given.value)) {
      const auto found = outer.find(name->text);
      if (found != outer.end()) return found->second;
      Refuse(Cat("expected one of its attributes, got ", name->text));
    }
    AttrValue value = std::get<AttrValue>(given.value);
    if (spec.kind == AttrKind::kFloat && std::holds_alternative<int64_t>(value)) {
      value = static_cast<double>(std::get<int64_t>(value));
    }
    return value;
  }

  int Find(const Scope& scope, const syntax::Name& name) const {
    if (name.text == "none") return -1;
    const auto found = scope.find(name.text);
    if (found == scope.end()) Refuse(Cat("expected a value, got ", name.text));
    return found->second;
  }

  [[noreturn]] void Refuse(const std::string& message) const {
    throw GraphError(Cat(op_.name(), ": ", where_, ": ", message));
  }

  const Op& op_;
  bool apart_;
  std::string_view where_;
  Pattern pattern_;
};

[[noreturn]] void RefuseRule(const Rule& rule, const std::string& message) {
  throw GraphError(Cat(rule.op->name(), ": rule: ", message));
}

// Nodes from which the root can be reached.
std::vector<bool> LeadToRoot(const Pattern& pattern) {
  std::vector<bool> leads(pattern.nodes.size(), false);
  leads.back() = true;
  for (size_t i = pattern.nodes.size(); i-- > 0;) {
    if (!leads[i]) continue;
    for (int value : pattern.nodes[i].operands) {
      if (value >= 0 && pattern.makers[value] >= 0) leads[pattern.makers[value]] = true;
    }
  }
  return leads;
}

void CheckOperands(const Rule& rule) {
  std::set<int> used;
  for (const PatternNode& node : rule.pattern.nodes) {
    used.insert(node.operands.begin(), node.operands.end());
  }
  const auto& params = rule.op->signature().params;
  if (rule.pattern.operands != static_cast<int>(params.size())) {
    RefuseRule(rule, Cat("expected ", params.size(), " operands, got ", rule.pattern.operands));
  }
  for (size_t i = 0; i < params.size(); ++i) {
    if (used.contains(static_cast<int>(i))) continue;
    RefuseRule(rule, Cat("expected operand ", params[i].name, " in the pattern, got none"));
  }
}

void CheckAttrs(const Rule& rule) {
  std::set<std::string, std::less<>> bound;
  for (const PatternNode& node : rule.pattern.nodes) {
    for (const auto& [name, attr] : node.attrs) {
      if (const auto* binding = std::get_if<BoundAttr>(&attr)) bound.insert(binding->name);
    }
  }
  const Signature& signature = rule.op->signature();
  for (const std::string& name : bound) {
    if (signature.FindAttr(name)) continue;
    RefuseRule(rule,
               Cat("expected every bound attribute in the replacement, which ignores ", name));
  }
  for (const AttrSpec& spec : signature.attrs) {
    if (bound.contains(spec.name)) continue;
    RefuseRule(rule, Cat("expected attribute ", spec.name, " in the pattern, got none"));
  }
}

// A call of `op` and nothing else.
Pattern CallOf(const Op& op) {
  const Signature& signature = op.signature();
  Pattern body;
  body.operands = static_cast<int>(signature.params.size());
  body.makers.assign(body.operands, -1);
  PatternNode call;
  call.op = &op;
  for (int i = 0; i < body.operands; ++i) call.operands.push_back(i);
  for (const AttrSpec& attr : signature.attrs) {
    call.attrs.emplace_back(attr.name, BoundAttr{attr.name});
  }
  for (size_t i = 0; i < signature.results.size(); ++i) {
    call.results.push_back(static_cast<int>(body.makers.size()));
    body.makers.push_back(0);
  }
  body.outputs = call.results;
  body.nodes.push_back(std::move(call));
  return body;
}

bool IsComputing(const PatternNode& node) { return !node.op || !node.op->view(); }

// How much a given rule asks of what it takes, beside the calls themselves; 0 for other rules.
size_t Demands(const Rule& rule) {
  if (!rule.given()) return 0;
  size_t demands = 1 + rule.conditions.size() + rule.predicate.has_value() + (rule.each > 1);
  for (const PatternNode& node : rule.pattern.nodes) {
    demands += std::ranges::count_if(node.attrs, [](const auto& attr) {
      return !std::holds_alternative<BoundAttr>(attr.second);
    });
  }
  return demands;
}

}  // namespace

bool Pattern::IsOutput(int value) const { return std::ranges::count(outputs, value) > 0; }

Rule RuleOf(const Op& op) {
  Rule rule;
  rule.op = &op;
  rule.pattern = PatternOf(op, true);
  rule.body = CallOf(op);
  CheckRule(rule);
  return rule;
}

Pattern PatternOf(const Op& op, bool apart, std::string_view where) {
  return PatternBuilder(op, apart, where).Build();
}

void CheckRule(const Rule& rule) {
  const Pattern& pattern = rule.pattern;
  if (pattern.nodes.empty()) RefuseRule(rule, "expected calls in the pattern, got none");
  if (std::ranges::count(pattern.nodes, nullptr, &PatternNode::op) > 0) {
    RefuseRule(rule, "expected calls of operators in the pattern, got opaque");
  }
  const std::vector<bool> leads = LeadToRoot(pattern);
  for (size_t i = 0; i < leads.size(); ++i) {
    if (leads[i]) continue;
    RefuseRule(rule, Cat("expected every call to lead to the last one, got ",
                         pattern.nodes[i].op->name()));
  }
  if (pattern.outputs.size() != rule.op->signature().results.size()) {
    RefuseRule(rule, Cat("expected ", rule.op->signature().results.size(), " results, got ",
                         pattern.outputs.size()));
  }
  for (int output : pattern.outputs) {
    if (output >= 0 && pattern.makers[output] >= 0) continue;
    RefuseRule(rule, "expected the result of a call, got an operand");
  }
  CheckOperands(rule);
  CheckAttrs(rule);
}

bool ComesFirst(const Rule& a, const Rule& b) {
  const auto rank = [](const Rule& rule) {
    const auto calls = std::ranges::count_if(rule.pattern.nodes, IsComputing) -
                       std::ranges::count_if(rule.body.nodes, IsComputing);
    const auto made = rule.pattern.makers.size() - rule.pattern.operands;
    return std::tuple(calls, made - rule.pattern.outputs.size(), Demands(rule));
  };
  return rank(a) != rank(b) ? rank(a) > rank(b) : a.name() < b.name();
}

const std::vector<Rule>& AllRules() {
  static const auto& rules = *new std::vector<Rule>([] {
    std::vector<Rule> made;
    for (const Op& op : AllOps()) {
      if (!op.equals().empty()) made.push_back(RuleOf(op));
    }
    std::ranges::sort(made, ComesFirst);
    return made;
  }());
  return rules;
}

const Rule* FindRule(std::string_view name) {
  for (const Rule& rule : AllRules()) {
    if (rule.op->name() == name) return &rule;
  }
  return nullptr;
}

std::string RuleContract(const Rule& rule) {
  std::string text = OperatorContract(*rule.op);
  for (const PatternNode& node : rule.pattern.nodes) text += Cat("\n", OperatorContract(*node.op));
  for (const std::string& view : rule.via) text += Cat("\nvia ", view);
  return text;
}

}  // namespace fusible
