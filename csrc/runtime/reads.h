// Who reads the values of a graph or a region's body, and when.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace fusible {

class Reads {
 public:
  explicit Reads(const Graph& graph);

  // The value whose memory `value` shows: itself, or what a view was made of.
  ValueId Origin(ValueId value) const { return origin_[value]; }
  // The last node that reads the memory `value` lies in, by itself or through any view of it; -1
  // when no node does.
  int LastNode(ValueId value) const { return last_[origin_[value]]; }
  // The same, and past the last node where that memory is a result.
  int LastRead(ValueId value) const {
    return escapes_[origin_[value]] ? end_ : last_[origin_[value]];
  }
  // Some operator reads rows of it, or it is a result; some operator reads it as a whole operand.
  bool AsRows(ValueId value) const { return as_rows_[value]; }
  bool AsWhole(ValueId value) const { return as_whole_[value]; }

 private:
  void AddReader(const Node& node, int n);

  std::vector<ValueId> origin_;
  std::vector<int> last_;
  std::vector<bool> escapes_, as_rows_, as_whole_;
  int end_;
};

}  // namespace fusible
