// out = round(((x - mean) * (1 / sqrt(mean((x - mean)^2) + eps))) * weight + bias), in f32 with two
// canonical sums; by weight and bias with one fma.
#pragma once

#include "kernels/add.h"
#include "kernels/block.h"

namespace fusible::kernels {

struct LayerNormArgs {
  Block x;
  Block weight, bias;  // [cols], whole; may be absent
  Block out;           // all of one float dtype
  int64_t rows, cols;
  float eps;
  Addends sum_of = {};  // if there: x is a result as well, their sum
};

void LayerNorm(const LayerNormArgs& args);

}  // namespace fusible::kernels
