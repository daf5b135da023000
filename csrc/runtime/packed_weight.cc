#include "runtime/packed_weight.h"

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernels/matmul_pack.h"

namespace fusible {
namespace {

kernels::PackedLayout LayoutOf(DType dtype, const Sizes& shape) {
  if (shape.size() != 2) {
    throw ShapeError(Cat("pack_weight: w: expected shape [N, K], got ", shape));
  }
  const DTypeInfo& info = Info(dtype);
  if (info.dtype_class != "F" && info.dtype_class != "Q8" && dtype != DType::kI8) {
    throw DTypeError(Cat("pack_weight: w: expected a float dtype, fp8 or i8, got ", info.name));
  }
  if (dtype == DType::kI8 && shape[1] > kernels::kMostCodeDepth) {
    throw ShapeError(
        Cat("pack_weight: w: expected K <= ", kernels::kMostCodeDepth, " of i8, got ", shape));
  }
  return {.dtype = dtype, .cols = shape[0], .depth = shape[1]};
}

}  // namespace

int64_t PackedBytes(DType dtype, const Sizes& shape) { return LayoutOf(dtype, shape).bytes(); }

void PackInto(const TensorView& weight, std::byte* packed) {
  const kernels::PackedLayout layout = LayoutOf(weight.dtype, weight.shape);
  if (weight.Count() > 0 && layout.depth > 1 && weight.strides[1] != 1) {
    throw ShapeError(Cat("pack_weight: w: expected a contiguous last dimension, got strides ",
                         weight.strides, " of shape ", weight.shape));
  }
  const FloatEnvironment environment;
  kernels::PackWeight(
      {.w = {.data = weight.data, .dtype = weight.dtype, .row_stride = weight.strides[0]},
       .layout = layout,
       .packed = packed});
}

Buffer Pack(const TensorView& weight) {
  Buffer buffer(PackedBytes(weight.dtype, weight.shape));
  PackInto(weight, buffer.data());
  return buffer;
}

}  // namespace fusible
