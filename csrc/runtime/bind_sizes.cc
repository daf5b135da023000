#include "runtime/bind_sizes.h"

#include <optional>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

using SymbolSizes = std::map<std::string, int64_t>;

std::string Got(const TensorView& array) { return Cat(Name(array.dtype), array.shape); }

// The symbol's value for which `dim` is `size`; nullopt when there is none.
std::optional<int64_t> Solve(const Dim& dim, int64_t size) {
  const int64_t rest = size - dim.offset;
  if (rest % dim.factor != 0 || rest / dim.factor < 0) return std::nullopt;
  return rest / dim.factor;
}

// "" where the size fits, else what was expected of the symbol.
std::string BindDim(const Dim& dim, int64_t size, SymbolSizes& sizes) {
  if (dim.IsConstant()) return dim.offset == size ? "" : Cat(dim);
  const auto value = Solve(dim, size);
  if (!value) return Cat(dim, " of a size ", dim.symbol.name());
  const auto [at, is_new] = sizes.emplace(dim.symbol.name(), *value);
  return is_new || at->second == *value ? "" : Cat(dim.symbol.name(), " = ", at->second);
}

void BindInput(const Graph& graph, const Input& input, const TensorView& array,
               SymbolSizes& sizes) {
  const std::string& name = graph.values[input.value].name;
  const Type& type = graph.TypeOf(input.value);
  const std::string_view what = input.kind == InputKind::kConstant ? "weights" : "inputs";
  if (array.dtype != type.dtype) {
    throw DTypeError(Cat(what, ": ", name, ": expected ", type, ", got ", Got(array)));
  }
  if (array.shape.size() != type.shape.size()) {
    throw ShapeError(Cat(what, ": ", name, ": expected ", type, ", got ", Got(array)));
  }
  for (int i = 0; i < array.shape.size(); ++i) {
    const std::string expected = BindDim(type.shape[i], array.shape[i], sizes);
    if (expected.empty()) continue;
    throw ShapeError(Cat(what, ": ", name, ": expected ", type, " with ", expected,
                         " in dimension ", i, ", got ", Got(array)));
  }
}

}  // namespace

void CheckArray(const Graph& graph, const Input& input, const TensorView& array) {
  SymbolSizes sizes;
  BindInput(graph, input, array, sizes);
}

SymbolSizes BindSizes(const Graph& graph, std::span<const TensorView> arrays) {
  SymbolSizes sizes;
  for (size_t i = 0; i < arrays.size(); ++i) {
    BindInput(graph, graph.inputs[i], arrays[i], sizes);
  }
  return sizes;
}

}  // namespace fusible
