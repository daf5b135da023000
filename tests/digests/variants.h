// The ways to call an operator that are worth a digest.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace fusible::digests {

// A dtype for each class of the signature, in its order.
using ClassDTypes = std::vector<std::pair<std::string, DType>>;
std::vector<ClassDTypes> AllClassDTypes(const Op& op);

struct Variant {
  Attrs attrs;
  std::vector<bool> present;  // for each operand
  std::string text;           // what is not at its default: "layout="col"", "-weight"
};

// All at its default and every operand there; each attribute at every other choice, or at one other
// value; each set of optional operands absent.
std::vector<Variant> AllVariants(const Op& op, int64_t columns);

}  // namespace fusible::digests
