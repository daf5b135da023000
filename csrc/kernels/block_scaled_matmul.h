// y = round(sum over groups of k of (x * w^T of the group) * (x_scale * w_scale) + bias), all in
// f32: in a group one chain of fma an output, k ascending, from zero; then one fma with the product
// of the scales.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

inline constexpr int64_t kScaleBlock = 128;  // a scale of w covers so many rows and columns of it

struct BlockScaledMatmulArgs {
  Block x;        // any float dtype, or w's
  Block w;        // an 8-bit float dtype; rows [N][K], or packed
  Block x_scale;  // f32: a row's scale of each group, or absent: 1
  Block w_scale;  // f32: rows [ceil(N/128)][ceil(K/128)]
  Block bias;     // f32: absent, or N elements
  Block y;        // any float dtype
  int64_t rows, cols, depth;
  int64_t group_size = kScaleBlock;  // k of a group: 32, 64 or 128; the last one may be shorter
  bool packed = false;               // w.data is as PackWeight leaves it (matmul_pack.h)
};

void BlockScaledMatmul(const BlockScaledMatmulArgs& args);

}  // namespace fusible::kernels
