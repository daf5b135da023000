// Rotates pairs of a head's first `rotated` elements by angles looked up by position.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct RotaryArgs {
  Block x, out;     // one float dtype; rows of heads * head_size
  Block positions;  // i32 or i64, one a row, inside the table
  Block cos_sin;    // a float dtype, [P, rotated], whole: a row is cosines, then sines
  int64_t rows, heads, head_size;
  int64_t rotated;   // even, at most head_size
  bool interleaved;  // pairs (2i, 2i + 1); else (i, i + rotated / 2)
};

void Rotary(const RotaryArgs& args);

}  // namespace fusible::kernels
