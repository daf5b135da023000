#include "core/error.h"
#include "ops/library/library.h"

namespace fusible::library {
namespace {

[[noreturn]] void Refuse(const Shape& shape, const std::vector<int64_t>& wanted) {
  throw ShapeError(Cat("reshape: shape: expected as many elements as ", shape,
                       ", those that 0 keeps left out on both sides, got ",
                       ToText(AttrValue(wanted))));
}

// wanted with 0 replaced by the operand's dimension at that place; -1 is left as it is.
Shape KeepPlaces(const Shape& shape, const std::vector<int64_t>& wanted) {
  Shape result;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const int place = static_cast<int>(i);
    if (wanted[i] < -1) {
      throw ArgumentError(Cat("reshape: shape: expected sizes, 0 or -1, got ", wanted[i]));
    }
    if (wanted[i] == 0 && place >= shape.size()) Refuse(shape, wanted);
    result.push_back(wanted[i] == 0 ? shape[place] : Dim(wanted[i]));
  }
  return result;
}

// The product of the sizes; those kept in place are left out on both sides, so that at most one
// symbol is left in what people write.
Dim ProductOfRest(const Shape& shape, const std::vector<int64_t>& wanted) {
  Dim product = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (i < static_cast<int>(wanted.size()) && wanted[i] == 0) continue;
    const std::optional<Dim> next = Multiply(product, shape[i]);
    if (!next) Refuse(shape, wanted);
    product = *next;
  }
  return product;
}

Shape Reshaped(const Shape& shape, const std::vector<int64_t>& wanted) {
  Shape result = KeepPlaces(shape, wanted);
  const Dim product = ProductOfRest(shape, wanted);
  int64_t known = 1;
  int inferred = -1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] > 0 && __builtin_mul_overflow(known, wanted[i], &known)) Refuse(shape, wanted);
    if (wanted[i] != -1) continue;
    if (inferred >= 0) throw ArgumentError("reshape: shape: expected at most one -1, got two");
    inferred = static_cast<int>(i);
  }
  if (inferred < 0) {
    if (!(product == Dim(known))) Refuse(shape, wanted);
    return result;
  }
  const std::optional<Dim> size = Divide(product, known);
  if (!size) Refuse(shape, wanted);
  result[inferred] = *size;
  return result;
}

// The operand's dimensions with neighbours that lie evenly joined, last first.
struct Run {
  int64_t size, stride;
};
std::vector<Run> EvenRuns(const Sizes& sizes, const Sizes& strides) {
  std::vector<Run> runs;
  for (int i = sizes.size() - 1; i >= 0; --i) {
    if (sizes[i] == 1) continue;
    if (!runs.empty() && strides[i] == runs.back().stride * runs.back().size) {
      runs.back().size *= sizes[i];
    } else {
      runs.push_back({sizes[i], strides[i]});
    }
  }
  return runs;
}

// Strides of `result` over the same memory; nullopt if one of its dimensions spans two runs.
std::optional<Sizes> StridesOver(const Sizes& result, const std::vector<Run>& runs) {
  Sizes strides = ContiguousStrides(result);
  size_t run = 0;
  int64_t taken = 1;  // elements of runs[run] that later dimensions have
  for (int i = result.size() - 1; i >= 0; --i) {
    if (result[i] == 1) continue;
    if (run == runs.size() || runs[run].size % (taken * result[i]) != 0) return std::nullopt;
    strides[i] = runs[run].stride * taken;
    taken *= result[i];
    if (taken == runs[run].size) {
      ++run;
      taken = 1;
    }
  }
  return strides;
}

ViewResult Reshape(const Shape& shape, const Sizes* strides, const Attrs& attrs) {
  ViewResult view{Reshaped(shape, attrs.Ints("shape")), std::nullopt};
  const std::optional<Sizes> sizes = ToSizes(shape);
  if (!strides || !sizes) return view;
  const Sizes result = *ToSizes(view.shape);
  view.strides = Product(*sizes) == 0 ? ContiguousStrides(result)
                                      : StridesOver(result, EvenRuns(*sizes, *strides));
  return view;
}

}  // namespace

Op reshape() {
  return Op("reshape(x: A, *, shape: ints) -> y: A")
      .Doc(
          "The same elements in the same order under another shape, in the same memory. One size "
          "may "
          "be -1, which is inferred; 0 keeps the operand's dimension at that place.")
      .View(Reshape);
}

}  // namespace fusible::library
