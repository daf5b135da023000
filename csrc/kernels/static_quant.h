// Quantizes to 8-bit codes with one given scale: code = clamp(x / scale).
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct StaticQuantArgs {
  Block x;      // a float dtype
  Block scale;  // f32, one element, whole
  Block codes;  // an 8-bit float format, or int8
  int64_t rows, cols;
  float max;  // positive
};

void StaticQuant(const StaticQuantArgs& args);

}  // namespace fusible::kernels
