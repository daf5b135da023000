// Packs scales that are powers of two into their exponents: four of them an int32, the first in the
// low byte, zeros behind a row's last.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct PackUe8m0Args {
  Block scales;        // f32
  Block packed;        // i32; element stride as the layout says
  int64_t rows, cols;  // of scales
};

void PackUe8m0(const PackUe8m0Args& args);

}  // namespace fusible::kernels
