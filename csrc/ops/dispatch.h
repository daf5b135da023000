// Runs one operator that has a kernel of its own, on arrays.
#pragma once

#include <span>

#include "ops/check.h"

namespace fusible {

// operands and results follow the signature; absent optional operands have data == nullptr and rank
// 0. Checks indices, layouts and overlap, then runs; the caller has bound the call and made the
// results. Throws before anything is written.
void RunOp(const Op& op, const Binding& binding, std::span<const TensorView> operands,
           std::span<const TensorView> results);

// The bytes from the first to the last element; nothing for an array without elements.
struct Extent {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};
Extent ExtentOf(const TensorView& tensor);

// Refuses a result that overlaps an operand other than as `y@x` says (same memory, shape, strides),
// that overlaps another result, or itself.
void CheckOverlap(const Op& op, std::span<const TensorView> operands,
                  std::span<const TensorView> results);

// A whole result `y@x` begins as a copy of x, unless it is x's memory.
void CopyAliasedWholes(const Op& op, std::span<const TensorView> operands,
                       std::span<const TensorView> results);

}  // namespace fusible
