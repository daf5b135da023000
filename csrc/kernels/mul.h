// out = round(((x * y) * weight) * by), each product rounded in f32, without what is absent.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct MulArgs {
  Block x, y;    // y may be absent
  Block weight;  // [cols], whole; may be absent
  Block out;     // all of one float dtype
  int64_t rows, cols;
  float by;
};

void Mul(const MulArgs& args);

}  // namespace fusible::kernels
