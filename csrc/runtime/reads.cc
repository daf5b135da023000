#include "runtime/reads.h"

#include <numeric>

#include "ir/views.h"

namespace fusible {

Reads::Reads(const Graph& graph)
    : origin_(graph.values.size()),
      last_(graph.values.size(), -1),
      escapes_(graph.values.size()),
      as_rows_(graph.values.size()),
      as_whole_(graph.values.size()),
      end_(static_cast<int>(graph.nodes.size())) {
  std::iota(origin_.begin(), origin_.end(), 0);
  for (int n = 0; n < end_; ++n) {
    const Node& node = graph.nodes[n];
    if (IsView(node)) {
      origin_[node.outputs[0]] = origin_[node.inputs[0]];
    } else {
      AddReader(node, n);
    }
  }
  for (const ValueId out : graph.outputs) escapes_[origin_[out]] = as_rows_[out] = true;
  for (int n = end_ - 1; n >= 0; --n) {
    const Node& node = graph.nodes[n];
    if (!IsView(node)) continue;
    const ValueId in = node.inputs[0], out = node.outputs[0];
    as_rows_[in] = as_rows_[in] || as_rows_[out];
    as_whole_[in] = as_whole_[in] || as_whole_[out];
  }
}

void Reads::AddReader(const Node& node, int n) {
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId in = node.inputs[i];
    if (in == kAbsent) continue;
    last_[origin_[in]] = n;
    const bool rows = !node.op || node.op->signature().params[i].type.leading;
    if (rows) {
      as_rows_[in] = true;
    } else {
      as_whole_[in] = true;
    }
  }
}

}  // namespace fusible
