// Calls of an operator by position, as the functions of fusible.ops make them: a call like an
// earlier one skips what cannot come out differently.
#pragma once

#include <pybind11/pybind11.h>

#include "ops/op.h"

namespace fusible {

namespace py = pybind11;

// A function of the operands, then the attributes in the signature's order, then `out` unless the
// operator is a view; None where one is not given. op must outlive it.
py::object MakeCaller(const Op& op);

}  // namespace fusible
