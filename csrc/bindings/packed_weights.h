// Packed weights as Python holds them: an object with bytes, dtype, shape and digest.
#pragma once

#include <string>

#include "bindings/arrays.h"

namespace fusible {

bool IsPackedWeight(const py::handle& object);

// Its bytes, seen as the array [N, K] that was packed. ArgumentError for too few of them, or such
// that are not aligned.
BorrowedArray ReadPackedWeight(const py::handle& object, const Argument& what);

// A packed weight, or an array.
BorrowedArray ReadWeight(const py::handle& object, const Argument& what);

// The SHA-256 of the elements of a packed weight, in hex; of an array "".
std::string DigestOfPacked(const py::handle& object);

}  // namespace fusible
