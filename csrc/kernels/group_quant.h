// Quantizes to 8-bit codes with a scale for each group of a row: a = max(amax, amax_floor),
// scale = a / max, or the next power of two from there, code = clamp(x / scale). A NaN makes its
// group's scale NaN, and its codes NaN (0 in int8).
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct GroupQuantArgs {
  Block x;       // a float dtype
  Block codes;   // an 8-bit float format, or int8
  Block scales;  // f32, one a group; element stride as the layout says
  int64_t rows, cols;
  int64_t group_size;  // divides cols; cols itself: one scale a row, also of no elements
  float max;           // positive
  float amax_floor;    // so large that amax_floor / max is a normal number
  bool power_of_two;   // scales: UE8M0
};

void GroupQuant(const GroupQuantArgs& args);

}  // namespace fusible::kernels
