#include "passes/savings.h"

#include <algorithm>

#include "ir/expand.h"
#include "ir/infer.h"

namespace fusible {

int64_t BytesPerRow(const Type& type) {
  constexpr double kMost = 1LL << 52;  // more than any memory; sizes in a graph may be anything
  double bytes = static_cast<double>(Bytes(type.dtype));
  for (const Dim& dim : type.shape) {
    bytes *= static_cast<double>(dim.factor) + static_cast<double>(dim.offset);
  }
  return static_cast<int64_t>(std::clamp(bytes, 0.0, kMost));
}

namespace {

// What the calls of a given rule's replacement read of each other and write for each other.
int64_t BodyBytes(const Graph& graph, const Match& match) {
  if (match.rule->body.nodes.size() == 1) return 0;
  Node call;
  call.inputs.assign(match.values.begin(), match.values.begin() + match.rule->pattern.operands);
  Graph body;
  try {
    body = ExpandEquals(*match.rule->op, OperandTypes(graph, call), match.attrs);
  } catch (const Error&) {
    return 0;  // it cannot stand there at all
  }
  const std::vector<int32_t> makers = Producers(body);
  int64_t bytes = 0;
  for (const Node& node : body.nodes) {
    for (ValueId value : node.inputs) {
      if (value != kAbsent && makers[value] >= 0) bytes += BytesPerRow(body.TypeOf(value));
    }
    for (ValueId value : node.outputs) {
      if (std::ranges::count(body.outputs, value) == 0) bytes += BytesPerRow(body.TypeOf(value));
    }
  }
  return bytes;
}

}  // namespace

int64_t SavedBytes(const Graph& graph, const Match& match) {
  const Pattern& pattern = match.rule->pattern;
  int64_t bytes = 0;
  const auto is_made = [&](int value) { return value >= 0 && pattern.makers[value] >= 0; };
  const auto size = [&](int value) { return BytesPerRow(graph.TypeOf(match.values[value])); };
  for (const PatternNode& node : pattern.nodes) {
    for (int value : node.operands) bytes += is_made(value) ? size(value) : 0;
    for (int value : node.results) bytes += pattern.IsOutput(value) ? 0 : size(value);
  }
  return std::max<int64_t>(bytes - BodyBytes(graph, match), 0);
}

}  // namespace fusible
