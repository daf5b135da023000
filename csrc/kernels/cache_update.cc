#include "kernels/cache_update.h"

#include <cstring>

#include "kernels/index.h"

namespace fusible::kernels {

void CacheUpdate(const CacheUpdateArgs& args) {
  const int64_t bytes = static_cast<int64_t>(Bytes(args.cache.dtype));
  const int64_t row = args.cols * bytes;
  if (row == 0) return;
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t slot = ReadIndex(args.slots, r);
    if (slot < 0) continue;
    std::memcpy(args.cache.data + slot * row,
                args.rows_in.data + r * args.rows_in.row_stride * bytes, row);
  }
}

}  // namespace fusible::kernels
