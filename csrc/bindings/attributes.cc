#include "bindings/attributes.h"

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

// A dtype given as a NumPy dtype or scalar type. Strings stay strings unless a dtype is wanted.
std::optional<DType> DTypeOf(const py::handle& value) {
  if (py::isinstance<py::str>(value)) return FindDType(value.cast<std::string>());
  if (!py::isinstance<py::dtype>(value) && !PyType_Check(value.ptr())) return std::nullopt;
  try {
    return FromNumpyDType(py::dtype::from_args(py::reinterpret_borrow<py::object>(value)));
  } catch (const py::error_already_set&) {
    return std::nullopt;  // a type that is no dtype: the caller's message says what was expected
  }
}

std::string ReprOf(const py::handle& value) { return py::repr(value).cast<std::string>(); }

std::optional<AttrValue> Convert(const py::handle& value) {
  if (py::isinstance<py::bool_>(value)) return AttrValue(value.cast<bool>());
  if (py::isinstance<py::float_>(value)) return AttrValue(value.cast<double>());
  if (PyIndex_Check(value.ptr())) return AttrValue(value.cast<int64_t>());
  if (py::isinstance<py::str>(value)) return AttrValue(value.cast<std::string>());
  if (PyNumber_Check(value.ptr()) && py::hasattr(value, "dtype")) {
    return AttrValue(py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>());
  }
  if (py::isinstance<py::list>(value) || py::isinstance<py::tuple>(value)) {
    return AttrValue(value.cast<std::vector<int64_t>>());
  }
  if (const auto dtype = DTypeOf(value)) return AttrValue(*dtype);
  return std::nullopt;
}

}  // namespace

AttrValue ReadValue(const py::handle& value, const Argument& what) {
  std::optional<AttrValue> converted;
  try {
    converted = Convert(value);
  } catch (const py::cast_error&) {
    converted = std::nullopt;  // a list of something else, or an int beyond 64 bits
  }
  if (converted) return *std::move(converted);
  throw ArgumentError(
      Cat(what, ": expected a number, a string, a dtype or a list of ints, got ", ReprOf(value)));
}

Attrs ReadAttrs(const Op& op, const py::dict& values) {
  Attrs attrs;
  for (const auto& [key, value] : values) {
    if (value.is_none()) continue;
    const auto name = key.cast<std::string>();
    const AttrSpec* spec = op.signature().FindAttr(name);
    if (spec && spec->kind == AttrKind::kDType) {
      const auto dtype = DTypeOf(value);
      if (!dtype) {
        throw ArgumentError(Cat(op.name(), ": ", name, ": expected a dtype, got ", ReprOf(value)));
      }
      attrs.Set(name, *dtype);
    } else {
      attrs.Set(name, ReadValue(value, Argument{op.name(), "", name}));
    }
  }
  return attrs;
}

py::object ToPython(const AttrValue& value) {
  if (const auto* dtype = std::get_if<DType>(&value)) return py::str(std::string(Name(*dtype)));
  return std::visit(
      [](const auto& held) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, DType>)
          return py::none();
        else if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::vector<int64_t>>) {
          py::list list;
          for (int64_t item : held) list.append(item);
          return list;
        } else {
          return py::cast(held);
        }
      },
      value);
}

}  // namespace fusible
