#include "kernels/copy.h"

#include <cstring>

namespace fusible::kernels {
namespace {

template <class T>
void CopyElements(const CopyArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* from = a.from.Row<T>(r);
    T* to = a.to.Row<T>(r);
    for (int64_t c = 0; c < a.cols; ++c) to[c * a.to.stride] = from[c * a.from.stride];
  }
}

}  // namespace

void Copy(const CopyArgs& args) {
  const int64_t bytes = static_cast<int64_t>(Bytes(args.from.dtype));
  if (args.from.stride != 1 || args.to.stride != 1) {
    if (bytes == 1) return CopyElements<uint8_t>(args);
    if (bytes == 2) return CopyElements<uint16_t>(args);
    if (bytes == 4) return CopyElements<uint32_t>(args);
    return CopyElements<uint64_t>(args);
  }
  if (args.rows == 0 || args.cols == 0) return;
  const size_t row = args.cols * bytes;
  for (int64_t r = 0; r < args.rows; ++r) {
    std::memcpy(args.to.data + r * args.to.row_stride * bytes,
                args.from.data + r * args.from.row_stride * bytes, row);
  }
}

}  // namespace fusible::kernels
