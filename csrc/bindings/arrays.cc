#define FUSIBLE_IMPORTS_NUMPY
#include "bindings/arrays.h"

#include <array>

#include "bindings/dlpack.h"
#include "bindings/numpy_api.h"
#include "bindings/result_memory.h"
#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

// NumPy's dtypes by ours, looked up once: ml_dtypes registers its types at import.
struct DTypeTable {
  std::vector<py::dtype> dtypes;
  std::vector<int> numbers;

  DTypeTable() {
    if (_import_array() < 0) throw py::error_already_set();
    const py::module_ numpy = py::module_::import("numpy");
    const py::module_ ml_dtypes = py::module_::import("ml_dtypes");
    for (const DTypeInfo& info : AllDTypes()) {
      const std::string name(info.numpy_name);
      const bool plain = py::hasattr(numpy, name.c_str());
      const py::object type = (plain ? numpy : ml_dtypes).attr(name.c_str());
      dtypes.push_back(py::dtype::from_args(type));
      numbers.push_back(dtypes.back().normalized_num());
    }
  }

  static const DTypeTable& Get() {
    static const DTypeTable& table = *new DTypeTable();
    return table;
  }
};

TensorView ViewOf(const py::array& array, const Argument& what) {
  const py::dtype dtype = array.dtype();
  const auto known = FromNumpyDType(dtype);
  if (!known) {
    throw DTypeError(Cat(what, ": expected ", DTypesText(what.dtype), ", got ",
                         py::str(dtype).cast<std::string>()));
  }
  if (array.ndim() > kMaxRank) {
    throw ShapeError(Cat(what, ": expected at most ", kMaxRank, " dimensions, got ", array.ndim()));
  }
  TensorView view;
  view.data = static_cast<std::byte*>(const_cast<void*>(array.data()));
  view.dtype = *known;
  const auto bytes = static_cast<py::ssize_t>(Bytes(*known));
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    if (array.strides(i) % bytes != 0) {
      throw ShapeError(Cat(what, ": expected strides that are multiples of ", bytes, " bytes, got ",
                           array.strides(i)));
    }
    view.shape.push_back(array.shape(i));
    view.strides.push_back(array.strides(i) / bytes);
  }
  return view;
}

// NumPy takes lists that it does not change by a plain pointer.
npy_intp* Pointer(const Sizes& sizes) {
  static_assert(sizeof(npy_intp) == sizeof(int64_t));
  return reinterpret_cast<npy_intp*>(const_cast<int64_t*>(sizes.begin()));
}

std::string TypeName(const py::handle& object) {
  return py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>();
}

// A tensor that requires a gradient, say, is not exported, and its own error says why not.
py::capsule Exported(const py::handle& object, const Argument& what) {
  try {
    return object.attr("__dlpack__")();
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw ArgumentError(Cat(what, ": expected an array that DLPack exports, got ", TypeName(object),
                            ": ", py::str(error.value()).cast<std::string>()));
  }
}

}  // namespace

void ImportNumpy() { DTypeTable::Get(); }

py::dtype NumpyDType(DType dtype) { return DTypeTable::Get().dtypes[static_cast<size_t>(dtype)]; }

std::optional<DType> FromNumpyDType(const py::dtype& dtype) {
  if (dtype.byteorder() == '>') return std::nullopt;
  const DTypeTable& table = DTypeTable::Get();
  const int number = dtype.normalized_num();
  for (size_t i = 0; i < table.numbers.size(); ++i) {
    if (table.numbers[i] == number) return static_cast<DType>(i);
  }
  return std::nullopt;
}

BorrowedArray ReadArray(const py::handle& object, const Argument& what) {
  if (py::isinstance<py::array>(object)) {
    auto array = py::reinterpret_borrow<py::array>(object);
    return {ViewOf(array, what), array};
  }
  if (py::hasattr(object, "__dlpack__")) {
    const py::capsule capsule = Exported(object, what);
    return {ReadDLPack(capsule, what), capsule};
  }
  if (py::hasattr(object, "__array_interface__")) {
    const py::array array = py::module_::import("numpy").attr("asarray")(object);
    return {ViewOf(array, what), array};
  }
  throw DTypeError(Cat(what, ": expected an array, got ", TypeName(object)));
}

BorrowedArray ReadWritableArray(const py::handle& object, const Argument& what) {
  BorrowedArray read = ReadArray(object, what);
  // Of what is read-only NumPy makes no DLPack capsule.
  if (py::isinstance<py::array>(read.owner) &&
      !py::reinterpret_borrow<py::array>(read.owner).writeable()) {
    throw ArgumentError(Cat(what, ": expected an array that can be written, got a read-only one"));
  }
  return read;
}

// In pieces of 16 bytes, so that the last column of an aligned layout is as long as the others.
NewArrayOf::NewArrayOf(DType dtype, const Sizes& shape, const Sizes& element_strides)
    : descr(NumpyDType(dtype)),
      sizes(shape),
      bytes((static_cast<size_t>(Span(shape, element_strides)) * Bytes(dtype) + 15) / 16 * 16) {
  for (int64_t stride : element_strides) {
    strides.push_back(stride * static_cast<int64_t>(Bytes(dtype)));
  }
}

std::pair<py::object, std::byte*> NewArrayOf::Make() const {
  const ResultMemory memory = TakeResultMemory(bytes);
  py::object owner = py::reinterpret_steal<py::object>(memory.owner);
  PyObject* made = PyArray_NewFromDescr(
      &PyArray_Type, reinterpret_cast<PyArray_Descr*>(py::object(descr).release().ptr()),
      sizes.size(), Pointer(sizes), Pointer(strides), memory.data, NPY_ARRAY_WRITEABLE, nullptr);
  if (!made) throw py::error_already_set();
  py::object array = py::reinterpret_steal<py::object>(made);
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(made), owner.release().ptr()) < 0) {
    throw py::error_already_set();
  }
  return {std::move(array), memory.data};
}

BorrowedArray NewArray(DType dtype, const Sizes& shape, const Sizes& strides) {
  auto [array, data] = NewArrayOf(dtype, shape, strides).Make();
  return {{data, dtype, shape, strides}, std::move(array)};
}

py::array ArrayOf(const TensorView& view, const py::object& owner) {
  std::vector<py::ssize_t> strides;
  for (const int64_t stride : view.strides) {
    strides.push_back(stride * static_cast<int64_t>(Bytes(view.dtype)));
  }
  return py::array(NumpyDType(view.dtype),
                   std::vector<py::ssize_t>(view.shape.begin(), view.shape.end()), strides,
                   view.data, owner);
}

Type TypeOf(const TensorView& view) { return {view.dtype, ToShape(view.shape)}; }

}  // namespace fusible
