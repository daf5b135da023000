// out = round((x * (1 / sqrt(mean(x^2) + eps))) * weight), in f32 with the canonical sum.
#pragma once

#include "kernels/add.h"
#include "kernels/block.h"

namespace fusible::kernels {

struct RmsNormArgs {
  Block x;
  Block weight;  // [cols], whole; may be absent
  Block out;     // all of one float dtype
  int64_t rows, cols;
  float eps;
  bool one_plus_weight;  // Gemma's norm: weights are stored less one; the sum is formed in f32
  Addends sum_of = {};   // if there: x is a result as well, their sum
};

void RmsNorm(const RmsNormArgs& args);

}  // namespace fusible::kernels
