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

// Cut where it is long; the name of the type where there is none (an int of 5,000 digits, say).
std::string ReprOf(const py::handle& value) {
  constexpr py::ssize_t kMost = 200;
  try {
    const py::str text = py::repr(value);
    if (static_cast<py::ssize_t>(py::len(text)) <= kMost) return text.cast<std::string>();
    return py::str(text[py::slice(0, kMost, 1)]).cast<std::string>() + "...";
  } catch (const py::error_already_set&) {
    return Cat("a value of type ", Py_TYPE(value.ptr())->tp_name);
  }
}

// An int, or what Python takes for one as an index; nullopt for anything else, arrays of one float
// included: they have an __index__ that raises.
std::optional<int64_t> IndexOf(const py::handle& value) {
  if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr())) return std::nullopt;
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (index) return index.cast<int64_t>();
  PyErr_Clear();
  return std::nullopt;
}

// What a list, tuple, range or array holds; nullopt for what has no items, an array without
// dimensions included.
std::optional<py::list> ItemsOf(const py::handle& value) {
  if (!PySequence_Check(value.ptr()) || py::isinstance<py::str>(value)) return std::nullopt;
  if (py::isinstance<py::bytes>(value)) return std::nullopt;
  auto items = py::reinterpret_steal<py::object>(PySequence_List(value.ptr()));
  if (items) return py::list(std::move(items));
  PyErr_Clear();
  return std::nullopt;
}

std::optional<AttrValue> IntsOf(const py::list& items) {
  std::vector<int64_t> ints;
  for (const py::handle& item : items) {
    const auto index = IndexOf(item);
    if (!index) return std::nullopt;
    ints.push_back(*index);
  }
  return AttrValue(std::move(ints));
}

// A number that is none of Python's: a scalar of NumPy or ml_dtypes, or an array of no dimensions.
std::optional<AttrValue> NumberOf(const py::handle& value) {
  const auto kind =
      py::str(py::getattr(value.attr("dtype"), "kind", py::str())).cast<std::string>();
  if (kind == "c") return std::nullopt;
  const double number = py::float_(py::reinterpret_borrow<py::object>(value)).cast<double>();
  return kind == "b" ? AttrValue(number != 0) : AttrValue(number);
}

std::optional<AttrValue> Convert(const py::handle& value) {
  if (py::isinstance<py::bool_>(value)) return AttrValue(value.cast<bool>());
  if (py::isinstance<py::float_>(value)) return AttrValue(value.cast<double>());
  if (py::isinstance<py::str>(value)) return AttrValue(value.cast<std::string>());
  if (const auto items = ItemsOf(value)) return IntsOf(*items);
  if (const auto index = IndexOf(value)) return AttrValue(*index);
  if (PyNumber_Check(value.ptr()) && py::hasattr(value, "dtype")) return NumberOf(value);
  if (const auto dtype = DTypeOf(value)) return AttrValue(*dtype);
  return std::nullopt;
}

}  // namespace

AttrValue ReadValue(const py::handle& value, const Argument& what) {
  try {
    if (auto converted = Convert(value)) return *std::move(converted);
  } catch (const py::cast_error&) {
    throw ArgumentError(Cat(what, ": expected ints of at most 64 bits, got ", ReprOf(value)));
  }
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
