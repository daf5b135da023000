#include "bindings/arrays.h"

#include <array>

#include "bindings/dlpack.h"
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

std::string TypeName(const py::handle& object) {
  return py::str(py::type::handle_of(object).attr("__name__")).cast<std::string>();
}

}  // namespace

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
    const py::capsule capsule = object.attr("__dlpack__")();
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

BorrowedArray NewArray(DType dtype, const Sizes& shape, const Sizes& strides) {
  const int64_t span = Span(shape, strides);
  const size_t item = Bytes(dtype);
  // In 16-byte pieces, so that the last column of an aligned layout is as long as the others.
  const size_t bytes = (span * item + 15) / 16 * 16;
  std::vector<py::ssize_t> byte_strides;
  for (int64_t stride : strides) byte_strides.push_back(stride * static_cast<int64_t>(item));
  const std::vector<py::ssize_t> sizes(shape.begin(), shape.end());
  // NumPy makes room for the elements, not for what strides leave between them.
  if (bytes < kRecycledBytes && span == Product(shape)) {
    py::array array(NumpyDType(dtype), sizes, byte_strides);
    auto* data = static_cast<std::byte*>(array.mutable_data());
    return {{data, dtype, shape, strides}, array};
  }
  const ResultMemory memory = TakeResultMemory(bytes);
  py::array array(NumpyDType(dtype), sizes, byte_strides, memory.data, memory.owner);
  return {{memory.data, dtype, shape, strides}, array};
}

Type TypeOf(const TensorView& view) { return {view.dtype, ToShape(view.shape)}; }

}  // namespace fusible
