// Writes rows into a paged cache, bit for bit.
#pragma once

#include "kernels/block.h"

namespace fusible::kernels {

struct CacheUpdateArgs {
  Block rows_in;  // rows of `cols` elements
  Block slots;    // i64, one a row: the row of the cache, or negative: skipped
  Block cache;    // [slots, cols], whole
  int64_t rows, cols;
};

void CacheUpdate(const CacheUpdateArgs& args);

}  // namespace fusible::kernels
