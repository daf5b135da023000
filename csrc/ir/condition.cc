#include "ir/condition.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

using Relation = Condition::Relation;

// Longer signs first: `<=` is not `<`.
constexpr std::array<std::pair<std::string_view, Relation>, 6> kRelations = {{
    {"==", Relation::kEqual},
    {"!=", Relation::kNotEqual},
    {"<=", Relation::kAtMost},
    {">=", Relation::kAtLeast},
    {"<", Relation::kBelow},
    {">", Relation::kAbove},
}};

[[noreturn]] void Refuse(std::string_view text, const std::string& got) {
  throw GraphError(
      Cat("condition `", text, "`: expected sizes compared, as in `C % 128 == 0`, ", "got ", got));
}

bool Mentions(const DimExpr& expr, std::string_view name) {
  return (expr.IsName() && expr.name == name) ||
         std::ranges::any_of(expr.args, [&](const DimExpr& arg) { return Mentions(arg, name); });
}

bool IsKnown(const Signature& signature, std::string_view name) {
  const AttrSpec* attr = signature.FindAttr(name);
  if (attr && attr->kind == AttrKind::kInt) return true;
  return std::ranges::any_of(signature.params, [&](const ParamSpec& param) {
    return std::ranges::any_of(param.type.dims,
                               [&](const DimExpr& dim) { return Mentions(dim, name); });
  });
}

void CheckNames(const DimExpr& expr, const Signature& signature, std::string_view text) {
  if (expr.IsName() && !IsKnown(signature, expr.name)) {
    Refuse(text, Cat(expr.name, ", which is no size and no integer attribute of ", signature.name));
  }
  for (const DimExpr& arg : expr.args) CheckNames(arg, signature, text);
}

DimExpr ParseSide(std::string_view side, const Signature& signature, std::string_view text) {
  std::optional<DimExpr> expr;
  try {
    expr = ParseDimExpr(side);
  } catch (const GraphError&) {
    Refuse(text, Cat("`", side, "`"));
  }
  CheckNames(*expr, signature, text);
  return *std::move(expr);
}

std::optional<bool> Compare(const Dim& left, Relation relation, const Dim& right) {
  if (left.symbol != right.symbol || left.factor != right.factor) return std::nullopt;
  switch (relation) {
    case Relation::kEqual:
      return left.offset == right.offset;
    case Relation::kNotEqual:
      return left.offset != right.offset;
    case Relation::kAtMost:
      return left.offset <= right.offset;
    case Relation::kAtLeast:
      return left.offset >= right.offset;
    case Relation::kBelow:
      return left.offset < right.offset;
    case Relation::kAbove:
      return left.offset > right.offset;
  }
  return std::nullopt;
}

// The rest of a division, where the symbol's factor leaves none open.
std::optional<Dim> Modulo(const Dim& dim, const Dim& modulus) {
  const bool known = modulus.IsConstant() && modulus.offset > 0 && dim.offset >= 0;
  if (!known || dim.factor % modulus.offset != 0) return std::nullopt;
  return Dim(dim.offset % modulus.offset);
}

void AppendSizes(const DimExpr& expr, const Binding& call, std::string* text) {
  for (const DimExpr& arg : expr.args) AppendSizes(arg, call, text);
  const auto value = expr.IsName() ? Evaluate(expr, call) : std::nullopt;
  if (value) *text += Cat(text->empty() ? "" : ", ", expr.name, " = ", *value);
}

}  // namespace

Condition ParseCondition(std::string_view text, const Signature& signature) {
  for (const auto& [sign, relation] : kRelations) {
    const size_t at = text.find(sign);
    if (at == std::string_view::npos) continue;
    const std::string_view left = text.substr(0, at);
    const size_t percent = left.find('%');
    Condition condition;
    condition.left = ParseSide(left.substr(0, percent), signature, text);
    if (percent != std::string_view::npos) {
      condition.modulus = ParseSide(left.substr(percent + 1), signature, text);
    }
    condition.relation = relation;
    condition.right = ParseSide(text.substr(at + sign.size()), signature, text);
    return condition;
  }
  Refuse(text, "no ==, !=, <=, >=, < or >");
}

std::string ToText(const Condition& condition) {
  std::string_view sign;
  for (const auto& [text, relation] : kRelations) {
    if (relation == condition.relation) sign = text;
  }
  const std::string rest = condition.modulus ? Cat(" % ", ToText(*condition.modulus)) : "";
  return Cat(ToText(condition.left), rest, " ", sign, " ", ToText(condition.right));
}

std::optional<bool> Holds(const Condition& condition, const Binding& call) {
  auto left = Evaluate(condition.left, call);
  const auto right = Evaluate(condition.right, call);
  if (left && condition.modulus) {
    const auto modulus = Evaluate(*condition.modulus, call);
    left = modulus ? Modulo(*left, *modulus) : std::nullopt;
  }
  if (!left || !right) return std::nullopt;
  return Compare(*left, condition.relation, *right);
}

std::string Unmet(const Condition& condition, const Binding& call) {
  const auto holds = Holds(condition, call);
  if (holds && *holds) return "";
  std::string sizes;
  AppendSizes(condition.left, call, &sizes);
  if (condition.modulus) AppendSizes(*condition.modulus, call, &sizes);
  AppendSizes(condition.right, call, &sizes);
  return Cat("expected ", ToText(condition), ", got ", sizes,
             holds ? "" : ", which leaves it open until the call");
}

}  // namespace fusible
