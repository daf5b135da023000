// The k largest elements of each row and where they are, larger ones first, among equal ones the
// lower index; NaN counts as larger than every number.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct TopKArgs {
  Block x, values;  // one float dtype; values has k columns
  Block indices;    // i32, k columns
  int64_t rows, cols;
  int64_t k;  // from 1 to cols
};

void TopK(const TopKArgs& args);

}  // namespace fusible::kernels
