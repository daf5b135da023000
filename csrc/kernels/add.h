// out = round(x + y), stored twice where out.second says so, NaNs as they come where out.unsettled
// does.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct AddArgs {
  Block x, y, out;  // one float dtype
  int64_t rows, cols;
};

void Add(const AddArgs& args);

}  // namespace fusible::kernels
