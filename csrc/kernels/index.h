// Index operands, of either width.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

// The index of row r, of an i32 or i64 operand with one element a row.
inline int64_t ReadIndex(const Block& indices, int64_t r) {
  if (indices.dtype == DType::kI32) return *indices.Row<int32_t>(r);
  return *indices.Row<int64_t>(r);
}

}  // namespace fusible::kernels
