// Attribute values between Python and C++.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/argument.h"
#include "core/attrs.h"
#include "ops/op.h"

namespace fusible {

namespace py = pybind11;

// An attribute dict of an operator call; None means "not given". DType attributes may be names
// ("bf16"), NumPy dtypes or scalar types. ArgumentError names operator and attribute.
Attrs ReadAttrs(const Op& op, const py::dict& values);
// A value by its own Python type: for capabilities, variants and costs of targets.
AttrValue ReadValue(const py::handle& value, const Argument& what);
py::object ToPython(const AttrValue& value);  // dtypes become their names

}  // namespace fusible
