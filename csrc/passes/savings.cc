#include "passes/savings.h"

#include <algorithm>

namespace fusible {

int64_t BytesPerRow(const Type& type) {
  constexpr double kMost = 1LL << 52;  // more than any memory; sizes in a graph may be anything
  double bytes = static_cast<double>(Bytes(type.dtype));
  for (const Dim& dim : type.shape) {
    bytes *= static_cast<double>(dim.factor) + static_cast<double>(dim.offset);
  }
  return static_cast<int64_t>(std::clamp(bytes, 0.0, kMost));
}

int64_t SavedBytes(const Graph& graph, const Match& match) {
  const Pattern& pattern = match.rule->pattern;
  int64_t bytes = 0;
  const auto is_made = [&](int value) { return value >= 0 && pattern.makers[value] >= 0; };
  const auto size = [&](int value) { return BytesPerRow(graph.TypeOf(match.values[value])); };
  for (const PatternNode& node : pattern.nodes) {
    for (int value : node.operands) bytes += is_made(value) ? size(value) : 0;
    for (int value : node.results) bytes += pattern.IsOutput(value) ? 0 : size(value);
  }
  return bytes;
}

}  // namespace fusible
