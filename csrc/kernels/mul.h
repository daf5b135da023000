// out = round((x * y) * by), each product rounded in f32; without y, round(x * by).
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct MulArgs {
  Block x, y, out;  // one float dtype; y may be absent
  int64_t rows, cols;
  float by;
};

void Mul(const MulArgs& args);

}  // namespace fusible::kernels
