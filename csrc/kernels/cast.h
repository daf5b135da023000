// out = x in another float format: to nearest even, saturating to the 8-bit ones, NaN kept.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct CastArgs {
  Block x, out;  // float formats of 8, 16 or 32 bits
  int64_t rows, cols;
};

void Cast(const CastArgs& args);

}  // namespace fusible::kernels
