#include "core/error.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

bool IsPermutation(const std::vector<int64_t>& dims, int rank) {
  std::vector<bool> seen(rank, false);
  for (int64_t dim : dims) {
    if (dim < 0 || dim >= rank || seen[dim]) return false;
    seen[dim] = true;
  }
  return static_cast<int>(dims.size()) == rank;
}

ViewResult Transpose(const Shape& shape, const Sizes* strides, const Attrs& attrs) {
  const std::vector<int64_t>& dims = attrs.Ints("dims");
  if (!IsPermutation(dims, shape.size())) {
    throw ArgumentError(Cat("transpose: dims: expected each dimension of ", shape, " once, got ",
                            ToText(AttrValue(dims))));
  }
  ViewResult view;
  if (strides) view.strides.emplace();
  for (int64_t dim : dims) {
    view.shape.push_back(shape[static_cast<int>(dim)]);
    if (strides) view.strides->push_back((*strides)[static_cast<int>(dim)]);
  }
  return view;
}

}  // namespace

Op transpose() {
  return Op("transpose(x: A, *, dims: ints) -> y: A")
      .Doc(
          "The dimensions in another order, in the same memory: result dimension i is operand "
          "dimension dims[i].")
      .View(Transpose);
}

}  // namespace fusible::library
