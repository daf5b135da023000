// One operator on arrays: its kernel, or the row program of what it Equals.
#pragma once

#include <span>

#include "ops/check.h"

namespace fusible {

// Like RunOp (ops/dispatch.h), for any operator: one without a kernel runs its Equals body as a row
// program, which is made once per (operator, types, attributes) and kept.
void RunEager(const Op& op, const Binding& binding, std::span<const TensorView> operands,
              std::span<const TensorView> results);

}  // namespace fusible
