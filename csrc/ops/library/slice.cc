#include "core/error.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

// The dimension meant by `dim`, which counts from the end when negative.
int AxisOf(const Shape& shape, int64_t dim) {
  const int rank = shape.size();
  if (dim < -rank || dim >= rank) {
    throw ArgumentError(Cat("slice: dim: expected a dimension of ", shape, ", got ", dim));
  }
  return static_cast<int>(dim < 0 ? dim + rank : dim);
}

ViewResult Slice(const Shape& shape, const Sizes* strides, const Attrs& attrs) {
  const int axis = AxisOf(shape, attrs.Int("dim"));
  const int64_t start = attrs.Int("start"), stop = attrs.Int("stop");
  if (!shape[axis].IsConstant()) {
    throw ShapeError(Cat("slice: dim: expected a dimension of known size, got ", shape[axis]));
  }
  if (start < 0 || start > stop || stop > shape[axis].offset) {
    throw ArgumentError(Cat("slice: stop: expected 0 <= start <= stop <= ", shape[axis],
                            ", got start ", start, " and stop ", stop));
  }
  ViewResult view{shape, std::nullopt};
  view.shape[axis] = stop - start;
  if (strides) {
    view.strides = *strides;
    view.offset = start * (*strides)[axis];
  }
  return view;
}

}  // namespace

Op slice() {
  return Op("slice(x: A, *, dim: int = -1, start: int = 0, stop: int) -> y: A")
      .Doc("Elements start to stop (exclusive) of one dimension, in the same memory.")
      .View(Slice);
}

}  // namespace fusible::library
