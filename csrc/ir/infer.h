// Types of the results of nodes, and graphs whose symbols are bound to sizes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace fusible {

// A node's operands as BindCall takes them; nullopt is an absent one.
std::vector<std::optional<Type>> OperandTypes(const Graph& graph, const Node& node);

// What the node's results must be: of an operator by BindCall (whose errors pass through), of a
// region its body's outputs, of an opaque node what it declares.
std::vector<Type> InferTypes(const Graph& graph, const Node& node);

// The same graph with every size a number, types inferred anew. ArgumentError for a symbol without
// a size; ShapeError where a size comes out negative or a value passes kMaxElements; BindCall's
// errors pass through.
Graph BindSymbols(const Graph& graph, const std::map<std::string, int64_t>& sizes);

// The most elements of one value: sums and products of sizes, and bytes, stay inside int64_t. A
// symbol counts as one here, and as its size once it is bound.
inline constexpr int64_t kMaxElements = int64_t{1} << 58;

// "" for a legal shape, else `expected …, got …`: no size is negative, kMaxElements is kept.
std::string ShapeProblem(const Shape& shape);

}  // namespace fusible
