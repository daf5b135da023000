// y = round(x * w^T + bias): sums in f32, one chain of fma an output, k ascending.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct MatmulArgs {
  Block x, w, bias, y;  // one float dtype; w: rows [N][K]; bias: absent, or N elements
  int64_t rows, cols, depth;
};

void Matmul(const MatmulArgs& args);

}  // namespace fusible::kernels
