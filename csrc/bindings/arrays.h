// Arrays of Python as TensorViews, without copies.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>

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

// A fresh array; large ones take recycled memory, whose pages are there already (result_memory.h).
BorrowedArray NewArray(DType dtype, const Sizes& shape, const Sizes& strides);

Type TypeOf(const TensorView& view);

}  // namespace fusible
