#include "ir/infer.h"

#include <algorithm>

#include "core/cat.h"

namespace fusible {
namespace {

// The size of a dimension with its symbol bound; offsets and factors are below kMaxElements, so the
// product is checked and the sum cannot overflow behind it.
int64_t BindDim(const Dim& dim, const std::map<std::string, int64_t>& sizes) {
  if (dim.IsConstant()) return dim.offset;
  const auto size = sizes.find(dim.symbol.name());
  if (size == sizes.end()) {
    throw ArgumentError(Cat("expected a size for symbol ", dim.symbol.name(), ", got none"));
  }
  int64_t product = 0;
  if (size->second < 0 || __builtin_mul_overflow(dim.factor, size->second, &product) ||
      product > kMaxElements) {
    throw ShapeError(Cat("expected a size from 0 to ", kMaxElements, " for ", dim, ", got ",
                         dim.symbol.name(), " = ", size->second));
  }
  return product + dim.offset;
}

Type BindType(const std::string& name, const Type& type,
              const std::map<std::string, int64_t>& sizes) {
  Type bound{type.dtype, {}};
  for (const Dim& dim : type.shape) bound.shape.push_back(Dim(BindDim(dim, sizes)));
  const std::string problem = ShapeProblem(bound.shape);
  if (!problem.empty()) throw ShapeError(Cat(name, ": ", problem));
  return bound;
}

void BindNode(Graph& graph, Node& node, const std::map<std::string, int64_t>& sizes) {
  if (node.region) {
    auto region = std::make_shared<Region>(*node.region);
    region->body = BindSymbols(region->body, sizes);
    node.region = std::move(region);
  }
  if (!node.opaque.empty()) {
    for (ValueId output : node.outputs) {
      graph.SetType(output, BindType(graph.values[output].name, graph.TypeOf(output), sizes));
    }
    return;
  }
  const std::vector<Type> types = InferTypes(graph, node);
  for (size_t i = 0; i < types.size(); ++i) {
    graph.SetType(node.outputs[i], types[i]);
    const std::string problem = ShapeProblem(types[i].shape);
    if (problem.empty()) continue;
    throw ShapeError(Cat(NodeName(node), ": ", graph.values[node.outputs[i]].name, ": ", problem));
  }
}

}  // namespace

std::vector<std::optional<Type>> OperandTypes(const Graph& graph, const Node& node) {
  std::vector<std::optional<Type>> types;
  for (ValueId input : node.inputs) {
    types.push_back(input == kAbsent ? std::nullopt : std::optional(graph.TypeOf(input)));
  }
  return types;
}

std::vector<Type> InferTypes(const Graph& graph, const Node& node) {
  if (node.op) return BindCall(*node.op, OperandTypes(graph, node), node.attrs).results;
  const Graph& declares = node.region ? node.region->body : graph;
  const auto outputs = node.region ? std::span<const ValueId>(declares.outputs) : node.outputs;
  std::vector<Type> types;
  for (ValueId output : outputs) {
    types.push_back(declares.TypeOf(output));
  }
  return types;
}

Graph BindSymbols(const Graph& graph, const std::map<std::string, int64_t>& sizes) {
  Graph bound = graph;
  for (const Input& input : bound.inputs) {
    const Type type = BindType(bound.values[input.value].name, bound.TypeOf(input.value), sizes);
    bound.SetType(input.value, type);
  }
  for (Node& node : bound.nodes) BindNode(bound, node, sizes);
  return bound;
}

std::string ShapeProblem(const Shape& shape) {
  int64_t elements = 1;
  for (const Dim& dim : shape) {
    if (dim.factor < 0 || (dim.IsConstant() && dim.offset < 0)) {
      return Cat("expected sizes of at least 0, got ", dim);
    }
    const bool fits =
        dim.factor <= kMaxElements && dim.offset <= kMaxElements && dim.offset >= -kMaxElements;
    const int64_t size = fits ? dim.factor + std::abs(dim.offset) : 0;
    if (!fits || __builtin_mul_overflow(elements, std::max<int64_t>(size, 1), &elements) ||
        elements > kMaxElements) {
      return Cat("expected at most 2^58 elements, got ", shape);
    }
  }
  return "";
}

}  // namespace fusible
