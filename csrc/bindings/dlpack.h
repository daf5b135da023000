// DLPack capsules (dmlc/dlpack, ABI version 0) as TensorViews. NumPy's own reader knows neither
// bf16 nor the 8-bit formats.
#pragma once

#include <pybind11/pybind11.h>

#include "bindings/argument.h"
#include "core/tensor.h"

namespace fusible {

namespace py = pybind11;

// The view is valid as long as `capsule` lives. Throws DTypeError for a dtype that is not ours,
// ShapeError for more dimensions than kMaxRank, and UnsupportedError for a tensor on another device
// than the CPU.
TensorView ReadDLPack(const py::capsule& capsule, const Argument& what);

}  // namespace fusible
