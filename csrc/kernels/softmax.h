// out = round(e^(x - max) / sum), in f32 with the canonical sum.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct SoftmaxArgs {
  Block x, out;  // one float dtype
  int64_t rows, cols;
};

void Softmax(const SoftmaxArgs& args);

}  // namespace fusible::kernels
