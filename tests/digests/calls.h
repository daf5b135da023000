// Calls of operators on operands made from their signatures.
#pragma once

#include <string>

#include "digests/variants.h"
#include "ops/check.h"

namespace fusible::digests {

// SHA-256 over the memory of all results, in hexadecimal. sizes: of ChooseSizes.
std::string DigestOf(const Op& op, const ClassDTypes& classes, const Variant& variant,
                     const Binding& sizes);

}  // namespace fusible::digests
