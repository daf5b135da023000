#include "runtime/weights_key.h"

#include <set>

#include "core/cat.h"
#include "core/digest.h"
#include "core/error.h"
#include "runtime/bind_sizes.h"

namespace fusible {
namespace {

// The elements in order from `axis` on, however they lie in memory.
void HashElements(Sha256& hash, const TensorView& array, int axis, const std::byte* at) {
  const size_t item = Bytes(array.dtype);
  const auto bytes = [&](int64_t count) {
    return std::string_view(reinterpret_cast<const char*>(at), static_cast<size_t>(count) * item);
  };
  if (array.IsContiguous() && axis == 0) {
    hash.Update(bytes(array.Count()));
  } else if (axis == array.shape.size()) {
    hash.Update(bytes(1));
  } else if (axis == array.shape.size() - 1 && array.strides[axis] == 1) {
    hash.Update(bytes(array.shape[axis]));
  } else {
    for (int64_t i = 0; i < array.shape[axis]; ++i) {
      HashElements(hash, array, axis + 1,
                   at + i * array.strides[axis] * static_cast<int64_t>(item));
    }
  }
}

std::string ContentOf(const GivenWeight& weight) {
  const TensorView& array = weight.array;
  std::string digest = weight.digest;
  if (digest.empty()) {
    Sha256 hash;
    HashElements(hash, array, 0, array.data);
    digest = Hex(hash.Finish());
  }
  return Cat(Name(array.dtype), array.shape, " sha256:", digest);
}

}  // namespace

Key GraphKey(const Graph& graph, const std::map<std::string, GivenWeight>& weights) {
  std::string contents;
  std::set<std::string> constants;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Input& input = graph.inputs[i];
    if (input.kind != InputKind::kConstant) continue;
    const std::string& name = graph.values[input.value].name;
    constants.insert(name);
    const auto found = weights.find(name);
    if (found == weights.end()) continue;
    CheckArray(graph, input, found->second.array);
    contents += Cat("number ", i, " ", ContentOf(found->second), "\n");
  }
  for (const auto& [name, weight] : weights) {
    if (!constants.contains(name)) {
      throw ArgumentError(Cat("weights: expected only the graph's constants, got ", name));
    }
  }
  Key key = GraphKey(graph);
  key.parts.emplace_back("weights", contents);
  return key;
}

}  // namespace fusible
