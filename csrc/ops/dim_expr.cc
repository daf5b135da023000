#include "ops/dim_expr.h"

#include <string_view>

#include "core/cat.h"

namespace fusible {
namespace {

// Operations inside another operation are bracketed by nothing: the language has no parentheses,
// and the parser only makes trees that print back without them.
std::string Infix(const DimExpr& e, std::string_view op) {
  return Cat(ToText(e.args[0]), op, ToText(e.args[1]));
}

}  // namespace

std::string ToText(const DimExpr& e) {
  switch (e.kind) {
    case DimExpr::Kind::kNumber:
      return std::to_string(e.number);
    case DimExpr::Kind::kName:
      return e.name;
    case DimExpr::Kind::kAdd:
      return Infix(e, "+");
    case DimExpr::Kind::kMultiply:
      return Infix(e, "*");
    case DimExpr::Kind::kDivide:
      return Infix(e, "/");
    case DimExpr::Kind::kCeilDivide:
      return Cat("ceil(", Infix(e, "/"), ")");
  }
  return "";
}

std::string FirstName(const DimExpr& expr) {
  if (expr.IsName()) return expr.name;
  for (const DimExpr& arg : expr.args) {
    if (std::string name = FirstName(arg); !name.empty()) return name;
  }
  return "";
}

}  // namespace fusible
