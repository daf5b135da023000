#include "ir/pattern.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/cat.h"
#include "core/error.h"
#include "ir/key.h"
#include "ir/syntax.h"
#include "ops/registry.h"

namespace fusible {
namespace {

// Builds the pattern of one body, taking apart the calls of fused operators in it.
class PatternBuilder {
 public:
  explicit PatternBuilder(const Op& op) : op_(op) {}

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
    const Op* callee = FindOp(statement.callee.text);
    if (!callee) Refuse(Cat("expected an operator, got ", statement.callee.text));
    std::vector<int> operands;
    for (const syntax::Name& name : statement.operands) operands.push_back(Find(*scope, name));
    operands.resize(callee->signature().params.size(), -1);
    const AttrMap attrs = CallAttrs(*callee, statement, outer);
    const std::vector<int> results = callee->equals().empty() ? AppendNode(*callee, operands, attrs)
                                                              : Append(*callee, operands, attrs);
    if (results.size() != statement.targets.size()) {
      Refuse(Cat(callee->name(), ": expected ", results.size(), " results, got ",
                 statement.targets.size()));
    }
    for (size_t i = 0; i < results.size(); ++i) {
      (*scope)[statement.targets[i].name.text] = results[i];
    }
  }

  std::vector<int> AppendNode(const Op& op, std::vector<int> operands, const AttrMap& attrs) {
    PatternNode node{.op = &op, .operands = std::move(operands), .attrs = {}, .results = {}};
    node.attrs.assign(attrs.begin(), attrs.end());
    for (size_t i = 0; i < op.signature().results.size(); ++i) {
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
    throw GraphError(Cat(op_.name(), ": Equals: ", message));
  }

  const Op& op_;
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

bool MoreSaved(const Rule& a, const Rule& b) {
  const auto saved = [](const Rule& rule) {
    const auto made = rule.pattern.makers.size() - rule.pattern.operands;
    return std::make_pair(rule.pattern.nodes.size(), made - rule.pattern.outputs.size());
  };
  return saved(a) != saved(b) ? saved(a) > saved(b) : a.op->name() < b.op->name();
}

}  // namespace

bool Pattern::IsOutput(int value) const { return std::ranges::count(outputs, value) > 0; }

Rule RuleOf(const Op& op) {
  Rule rule;
  rule.op = &op;
  rule.pattern = PatternBuilder(op).Build();
  CheckRule(rule);
  return rule;
}

void CheckRule(const Rule& rule) {
  const Pattern& pattern = rule.pattern;
  if (pattern.nodes.empty()) RefuseRule(rule, "expected calls in the pattern, got none");
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

const std::vector<Rule>& AllRules() {
  static const auto& rules = *new std::vector<Rule>([] {
    std::vector<Rule> made;
    for (const Op& op : AllOps()) {
      if (!op.equals().empty()) made.push_back(RuleOf(op));
    }
    std::ranges::sort(made, MoreSaved);
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
