// Sizes for the letters of a signature.
#pragma once

#include <cstdint>

#include "ops/check.h"

namespace fusible::digests {

// The letters of `op`, where its rows have about so many columns: as many as its group size
// divides. attrs: complete (CompleteAttrs).
Binding ChooseSizes(const Op& op, const Attrs& attrs, int64_t columns);

// The columns among them: the last dimension of the first operand that has one.
int64_t ColumnsOf(const Op& op, const Binding& sizes);

// The attribute `k` of topk is a size too.
int64_t RequiredInt(const Op& op, std::string_view attr, int64_t columns);

}  // namespace fusible::digests
