// An array that someone else owns.
#pragma once

#include <cstddef>

#include "core/dtype.h"
#include "core/shape.h"

namespace fusible {

struct TensorView {
  std::byte* data = nullptr;  // nullptr: an absent optional operand (or an empty array)
  DType dtype = DType::kF32;
  Sizes shape;
  Sizes strides;  // elements

  int64_t Count() const { return Product(shape); }
  bool IsContiguous() const;
};

inline bool TensorView::IsContiguous() const {
  if (Count() == 0) return true;
  int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

}  // namespace fusible
