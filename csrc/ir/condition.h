// Conditions on sizes, as data, so that they can be explained: `C % 128 == 0`, `H/N <= 8`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ops/check.h"

namespace fusible {

// left [% modulus] relation right, of letters and integer attributes of a signature.
struct Condition {
  enum class Relation : uint8_t { kEqual, kNotEqual, kAtMost, kAtLeast, kBelow, kAbove };
  DimExpr left;
  std::optional<DimExpr> modulus;
  Relation relation = Relation::kEqual;
  DimExpr right;
};

// GraphError, which names the text, where it is no condition on the sizes and integer attributes of
// the signature.
Condition ParseCondition(std::string_view text, const Signature& signature);
std::string ToText(const Condition& condition);

// nullopt where only the call knows: a symbol leaves it open.
std::optional<bool> Holds(const Condition& condition, const Binding& call);
// "" where it holds, else what is expected and what there is: `expected C % 128 == 0, got C = 96`.
std::string Unmet(const Condition& condition, const Binding& call);

}  // namespace fusible
