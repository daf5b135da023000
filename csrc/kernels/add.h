// out = round(x + y).
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

// What is added, by a kernel that reads the sum.
struct Addends {
  Block x, y;  // absent: the sum is there already
};

struct AddArgs {
  Block x, y, out;  // one float dtype
  int64_t rows, cols;
};

void Add(const AddArgs& args);

}  // namespace fusible::kernels
