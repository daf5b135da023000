// The structure of a given rule as text: names become numbers, calls stand in the order in which
// the results lead to them.
#include <algorithm>
#include <map>
#include <set>

#include "core/cat.h"
#include "ir/given_rule.h"
#include "ir/key.h"
#include "ir/structure.h"

namespace fusible {
namespace {

// Letters, classes of dtypes and attributes of one signature -> their numbers.
class Names {
 public:
  explicit Names(const Signature& signature) {
    for (size_t i = 0; i < signature.attrs.size(); ++i) {
      names_[signature.attrs[i].name] = Cat("attr", i);
    }
  }

  // Other words stand for themselves: "f32", "...".
  const std::string& Of(const std::string& word) {
    if (IsDTypeClass(word)) {
      return names_.try_emplace(word, Cat(DTypeClassOf(word), "#", names_.size())).first->second;
    }
    return names_.try_emplace(word, word).first->second;
  }

  std::string Letters(const DimExpr& expr) {
    if (expr.IsName()) {
      return names_.try_emplace(expr.name, Cat("size", names_.size())).first->second;
    }
    std::string text = Cat("(", static_cast<int>(expr.kind), " ", expr.number);
    for (const DimExpr& arg : expr.args) text += Cat(" ", Letters(arg));
    return text + ")";
  }

  std::string TypeText(const TypeSpec& spec) {
    std::string text = Of(spec.dtype);
    if (spec.any_shape) return text;
    text += spec.leading ? "[..." : "[";
    for (const DimExpr& dim : spec.dims) text += Cat(", ", Letters(dim));
    return Cat(text, "] ", spec.layout.empty() ? "" : Of(spec.layout));
  }

 private:
  std::map<std::string, std::string> names_;
};

std::string AttrSpecText(const AttrSpec& spec, Names& names) {
  std::string text = Cat(static_cast<int>(spec.kind), spec.optional ? "?" : "");
  for (const AttrValue& choice : spec.choices) text += Cat(" | ", ToText(choice));
  if (spec.default_value) text += Cat(" = ", ToText(*spec.default_value));
  if (spec.lowest) text += Cat(" >= ", ToText(AttrValue(*spec.lowest)));
  return Cat(text, " ", spec.value_of.empty() ? "" : names.Of(spec.value_of));
}

std::string SignatureText(const Signature& signature, Names& names) {
  std::string text;
  for (const ParamSpec& param : signature.params) {
    text += Cat(names.TypeText(param.type), param.optional ? "?" : "",
                param.bound ? Cat(" in ", names.Letters(*param.bound)) : "",
                param.skips_negative ? "?" : "", "\n");
  }
  for (const AttrSpec& attr : signature.attrs) text += Cat(AttrSpecText(attr, names), "\n");
  for (const ResultSpec& result : signature.results) {
    text += Cat("-> ", names.TypeText(result.type), " ", signature.FindParam(result.alias), "\n");
  }
  for (const SizeRule& rule : signature.rules) {
    text += Cat("where ", names.Letters(rule.left),
                rule.right ? Cat(" <= ", names.Letters(*rule.right)) : "", "\n");
  }
  return text;
}

// A pattern's calls, numbered in the order in which a walk from the results ends with them.
class Walk {
 public:
  Walk(const Pattern& pattern, Names& names) : pattern_(pattern), names_(names) {}

  std::string Run() {
    std::string outputs = "return";
    for (int output : pattern_.outputs) outputs += Cat(" ", Visit(output));
    return text_ + outputs + "\n";
  }

 private:
  // What a value is called: an operand by its number, a result by its call's.
  std::string Visit(int value) {
    if (value < 0) return "none";
    const int maker = pattern_.makers[value];
    if (maker < 0) return Cat("%", value);
    const PatternNode& node = pattern_.nodes[maker];
    if (!numbers_.contains(maker)) Append(maker, node);
    const auto at = std::ranges::find(node.results, value) - node.results.begin();
    return Cat("#", numbers_.at(maker), ".", at);
  }

  void Append(int call, const PatternNode& node) {
    std::vector<int> operands = node.operands;
    if (node.op && node.op->commutes() && Hash(operands[1]) < Hash(operands[0])) {
      std::swap(operands[0], operands[1]);
    }
    std::string line = Cat(CallText(node), "(");
    for (int value : operands) line += Cat(" ", Visit(value));
    numbers_[call] = static_cast<int>(numbers_.size());
    text_ += line + ")\n";
  }

  std::string CallText(const PatternNode& node) {
    std::string text = node.op ? node.op->name() : Cat("opaque ", ToText(AttrValue(node.opaque)));
    for (const auto& [name, attr] : node.attrs) {
      const auto* bound = std::get_if<BoundAttr>(&attr);
      const auto* value = std::get_if<AttrValue>(&attr);
      text += Cat(" ", name, "=", bound ? names_.Of(bound->name) : value ? ToText(*value) : "none");
    }
    return text;
  }

  // Of all that a value is computed from, so that operands which may be swapped have one order.
  std::string Hash(int value) {
    const int maker = value < 0 ? -1 : pattern_.makers[value];
    if (maker < 0) return HashOf({Cat(value)});
    const PatternNode& node = pattern_.nodes[maker];
    std::vector<std::string> operands;
    for (int operand : node.operands) operands.push_back(Hash(operand));
    if (node.op && node.op->commutes()) std::sort(operands.begin(), operands.begin() + 2);
    std::string text = CallText(node);
    for (const std::string& operand : operands) text += operand;
    const auto at = std::ranges::find(node.results, value) - node.results.begin();
    return HashOf({text, Cat(at)});
  }

  const Pattern& pattern_;
  Names& names_;
  std::map<int, int> numbers_;
  std::string text_;
};

std::string ConditionText(const Condition& condition, Names& names) {
  return Cat("if ", names.Letters(condition.left), " % ",
             condition.modulus ? names.Letters(*condition.modulus) : "", " ",
             static_cast<int>(condition.relation), " ", names.Letters(condition.right), "\n");
}

std::string Sorted(std::vector<std::string> lines) {
  std::ranges::sort(lines);
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

std::string PoliciesText(const Rule& rule, Names& names) {
  std::vector<std::string> lines;
  for (const std::string& view : rule.via) lines.push_back(Cat("via ", view, "\n"));
  for (const Condition& condition : rule.conditions) {
    lines.push_back(ConditionText(condition, names));
  }
  std::string text = Sorted(std::move(lines));
  if (rule.escape) {
    text += Cat("escape ", rule.escape->keep        ? "keep"
                           : rule.escape->recompute ? "recompute"
                                                    : "refuse");
  }
  text += Cat("\neach ", rule.each, "\n");
  if (rule.predicate) {
    text += Cat("predicate ", ToText(AttrValue(rule.predicate->name)), " ",
                ToText(AttrValue(rule.predicate->version)), "\n");
  }
  return text;
}

std::string ContractsText(const Rule& rule) {
  std::vector<std::string> contracts;
  for (const Pattern* pattern : {&rule.pattern, &rule.body}) {
    for (const PatternNode& node : pattern->nodes) {
      if (node.op)
        contracts.push_back(Cat(node.op->name(), " ", HashOf({OperatorContract(*node.op)}), "\n"));
    }
  }
  return Sorted(std::move(contracts));
}

}  // namespace

std::string GivenContract(const Rule& rule) {
  Names names(rule.op->signature());
  std::string text = Cat(rule.name(), "\n", SignatureText(rule.op->signature(), names));
  text += Walk(rule.pattern, names).Run();
  text += Walk(rule.body, names).Run();
  return text + PoliciesText(rule, names) + ContractsText(rule);
}

}  // namespace fusible
