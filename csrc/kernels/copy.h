// Moves rows between memory of any strides, bit for bit.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct CopyArgs {
  Block from, to;  // one dtype; they do not overlap
  int64_t rows, cols;
};

void Copy(const CopyArgs& args);

}  // namespace fusible::kernels
