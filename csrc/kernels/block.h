// What a row kernel sees of an operand: a block of rows, and nothing of tensors or graphs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace fusible::kernels {

// Rows of one operand. Row r, element c is at data + (r * row_stride + c * stride) * Bytes(dtype).
// An operand without `...` in its signature (weights, tables, caches) is one whole contiguous
// tensor: row_stride is 0 and every row sees the same memory. An absent optional operand has data
// == nullptr.
struct Block {
  std::byte* data = nullptr;
  DType dtype = DType::kF32;
  int64_t row_stride = 0;  // elements from one row to the next
  // Elements between neighbours in a row; not 1 only for `layout(col)` results.
  int64_t stride = 1;
  bool stream = false;  // results: large and not read soon, may be stored past the caches
  bool large = false;   // results: so large that what they are made of comes from memory

  // Results: what some kernel reads soon. Whoever writes element (r, c) asks memory for the byte at
  // ahead + r * ahead_row + c * ahead_step.
  const std::byte* ahead = nullptr;
  int64_t ahead_row = 0, ahead_step = 0;

  explicit operator bool() const { return data != nullptr; }

  template <class T>
  T* Row(int64_t r) const {
    return reinterpret_cast<T*>(data) + r * row_stride;
  }
};

}  // namespace fusible::kernels
