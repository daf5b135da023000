// y = round(x * w^T + bias): sums in f32, one chain of fma an output, k ascending.
#pragma once

#include "kernels/block.h"
#include "kernels/matmul_plan.h"

namespace fusible::kernels {

struct MatmulArgs {
  Block x, w, bias, y;  // one float dtype; w: rows [N][K], or packed; bias: absent, or N elements
  int64_t rows, cols, depth;
  bool packed = false;  // w.data is as PackWeight leaves it (matmul_pack.h)
};

void Matmul(const MatmulArgs& args);

// What PlanMatmul is told of the instruction set that is chosen, and of the threads.
MatmulMachine ThisMachine();

}  // namespace fusible::kernels
