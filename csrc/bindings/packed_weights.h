// Packed weights as Python holds them: an object with bytes, dtype and shape.
#pragma once

#include "bindings/arrays.h"

namespace fusible {

bool IsPackedWeight(const py::handle& object);

// Its bytes, seen as the array [N, K] that was packed. ArgumentError for too few of them, or such
// that are not aligned.
BorrowedArray ReadPackedWeight(const py::handle& object, const Argument& what);

}  // namespace fusible
