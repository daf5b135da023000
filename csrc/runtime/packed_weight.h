// Weights [N, K] in the layout that the kernels of products read (kernels/matmul_pack.h).
#pragma once

#include "core/arena.h"
#include "core/tensor.h"

namespace fusible {

// Bytes of a packed weight. ShapeError unless `shape` is [N, K]; DTypeError for a dtype that no
// product takes.
int64_t PackedBytes(DType dtype, const Sizes& shape);

// ShapeError, DTypeError as above, and ShapeError for rows that have gaps.
Buffer Pack(const TensorView& weight);
// The same into PackedBytes of memory, aligned as a Buffer is.
void PackInto(const TensorView& weight, std::byte* packed);

}  // namespace fusible
