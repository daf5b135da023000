#include "runtime/row_reads.h"

#include <numeric>

#include "ir/views.h"

namespace fusible {

RowReads::RowReads(const Graph& body)
    : origin_(body.values.size()),
      last_(body.values.size(), -1),
      escapes_(body.values.size()),
      as_rows_(body.values.size()),
      end_(static_cast<int>(body.nodes.size())) {
  std::iota(origin_.begin(), origin_.end(), 0);
  for (int n = 0; n < end_; ++n) {
    const Node& node = body.nodes[n];
    if (IsView(node)) origin_[node.outputs[0]] = origin_[node.inputs[0]];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId in = node.inputs[i];
      if (in == kAbsent || IsView(node)) continue;
      last_[origin_[in]] = n;
      if (node.op->signature().params[i].type.leading) as_rows_[in] = true;
    }
  }
  for (const ValueId out : body.outputs) escapes_[origin_[out]] = as_rows_[out] = true;
  for (int n = end_ - 1; n >= 0; --n) {
    const Node& node = body.nodes[n];
    if (IsView(node) && as_rows_[node.outputs[0]]) as_rows_[node.inputs[0]] = true;
  }
}

}  // namespace fusible
