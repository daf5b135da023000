// Arrays of Python as TensorViews, without copies.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <utility>

#include "bindings/argument.h"
#include "core/tensor.h"
#include "ops/check.h"

namespace fusible {

namespace py = pybind11;

// A view of someone's array, and what keeps it alive.
struct BorrowedArray {
  TensorView view;
  py::object owner;
};

// `what` begins the messages. Takes NumPy and ml_dtypes arrays, and anything
// with DLPack on the CPU or the array interface. Throws DTypeError for anything else, ShapeError
// for strides that are no multiple of the item size.
BorrowedArray ReadArray(const py::handle& object, const Argument& what);

// The same for an array that is to be written: refuses read-only ones with ArgumentError.
BorrowedArray ReadWritableArray(const py::handle& object, const Argument& what);

py::dtype NumpyDType(DType dtype);
std::optional<DType> FromNumpyDType(const py::dtype& dtype);

// NumPy's C functions may be called after this.
void ImportNumpy();

// How to make fresh arrays of one type and layout, in recycled memory (result_memory.h).
struct NewArrayOf {
  NewArrayOf(DType dtype, const Sizes& shape, const Sizes& element_strides);
  std::pair<py::object, std::byte*> Make() const;  // the array, and where it begins

  py::dtype descr;
  Sizes sizes, strides;  // bytes
  size_t bytes;
};
BorrowedArray NewArray(DType dtype, const Sizes& shape, const Sizes& strides);

// An array on the view's memory, which `owner` keeps.
py::array ArrayOf(const TensorView& view, const py::object& owner);

Type TypeOf(const TensorView& view);

}  // namespace fusible
