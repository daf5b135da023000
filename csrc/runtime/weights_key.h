// Keys that see what is in the weights, and not only their dtypes and shapes.
#pragma once

#include <map>
#include <string>

#include "core/tensor.h"
#include "ir/key.h"

namespace fusible {

// An array that is given for a constant. A packed weight knows the SHA-256 of the elements that it
// was made of, in hex; where that is empty, the elements are read.
struct GivenWeight {
  TensorView array;
  std::string digest;
};

// GraphKey with a part "weights": number of the input, dtype, shape, and digest of the elements,
// for each constant that is given. ArgumentError for a name that is no constant of the graph,
// DTypeError and ShapeError for an array that does not fit it.
Key GraphKey(const Graph& graph, const std::map<std::string, GivenWeight>& weights);

}  // namespace fusible
