#include "kernels/embedding.h"

#include <cstring>

#include "kernels/index.h"

namespace fusible::kernels {

void Embedding(const EmbeddingArgs& args) {
  const int64_t bytes = static_cast<int64_t>(Bytes(args.table.dtype));
  const int64_t row = args.cols * bytes;
  if (row == 0) return;
  for (int64_t r = 0; r < args.rows; ++r) {
    std::memcpy(args.out.data + r * args.out.row_stride * bytes,
                args.table.data + ReadIndex(args.ids, r) * row, row);
  }
}

}  // namespace fusible::kernels
