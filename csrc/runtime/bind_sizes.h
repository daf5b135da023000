// What a graph's symbols stand for in one call.
#pragma once

#include <map>
#include <span>
#include <string>

#include "core/tensor.h"
#include "ir/graph.h"

namespace fusible {

// DTypeError or ShapeError that names the input, unless the array can be it for some sizes of
// symbols.
void CheckArray(const Graph& graph, const Input& input, const TensorView& array);

// arrays: one for each of the graph's inputs, constants among them, in order. Throws DTypeError or
// ShapeError that names the input, and the symbol where two inputs differ on it.
std::map<std::string, int64_t> BindSizes(const Graph& graph, std::span<const TensorView> arrays);

}  // namespace fusible
