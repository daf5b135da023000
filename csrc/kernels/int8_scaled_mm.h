// y = round((x * w^T) * x_scale * w_scale + bias): exact int32 sums become f32 (nearest even), are
// multiplied by x_scale, then by w_scale, then bias is added, each step rounded to f32.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct Int8ScaledMmArgs {
  Block x, w;                 // int8; w: rows [N][K], or packed
  Block x_scale;              // f32: one a row
  Block w_scale;              // f32: N elements
  Block bias;                 // f32: absent, or N elements
  Block y;                    // any float dtype
  int64_t rows, cols, depth;  // depth: at most kMostCodeDepth
  bool packed = false;        // w.data is as PackWeight leaves it (matmul_pack.h)
};

void Int8ScaledMm(const Int8ScaledMmArgs& args);

}  // namespace fusible::kernels
