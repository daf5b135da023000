// Quantizes to 8-bit floats with a scale for each group of a row:
// a = max(amax, 1e-10), scale = a / max, code = clamp(x / scale). A NaN makes its group's scale and
// codes NaN.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct GroupQuantArgs {
  Block x;       // a float dtype
  Block codes;   // an 8-bit float format
  Block scales;  // f32, one a group; element stride as the layout says
  int64_t rows, cols;
  int64_t group_size;  // a multiple of 32 that divides cols
  float max;           // positive
};

void GroupQuant(const GroupQuantArgs& args);

}  // namespace fusible::kernels
