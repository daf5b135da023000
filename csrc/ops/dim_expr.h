// Sizes in signatures: numbers, letters and integer attributes, and what is computed from them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fusible {

struct DimExpr {
  enum class Kind : uint8_t { kNumber, kName, kAdd, kMultiply, kDivide, kCeilDivide };
  Kind kind = Kind::kNumber;
  int64_t number = 0;
  std::string name;           // a dimension letter or an integer attribute
  std::vector<DimExpr> args;  // two, for the operations

  bool IsName() const { return kind == Kind::kName; }
};

std::string ToText(const DimExpr& expr);

// The letter or attribute that an expression begins with; "" in one of numbers alone.
std::string FirstName(const DimExpr& expr);

}  // namespace fusible
