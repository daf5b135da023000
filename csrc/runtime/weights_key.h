// Keys that see what is in the weights, and not only their dtypes and shapes.
#pragma once

#include <map>
#include <string>

#include "core/tensor.h"
#include "ir/key.h"

namespace fusible {

// GraphKey with a part "weights": number of the input, and digest of dtype, shape and elements, for
// each constant that is given. ArgumentError for a name that is no constant of the graph,
// DTypeError and ShapeError for an array that does not fit it.
Key GraphKey(const Graph& graph, const std::map<std::string, TensorView>& weights);

}  // namespace fusible
