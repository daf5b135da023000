// Who reads the values of a region's body, and when.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace fusible {

class RowReads {
 public:
  explicit RowReads(const Graph& body);

  // The last node that reads the memory `value` lies in, by itself or through any view of it; -1 when
  // no node does.
  int LastNode(ValueId value) const { return last_[origin_[value]]; }
  // The same, and past the last node where it is a result of the body.
  int LastRead(ValueId value) const {
    return escapes_[origin_[value]] ? end_ : last_[origin_[value]];
  }
  // Some operator reads rows of it, or it is a result: it is more than a whole operand.
  bool AsRows(ValueId value) const { return as_rows_[value]; }

 private:
  std::vector<ValueId> origin_;  // the value whose memory a view shows
  std::vector<int> last_;
  std::vector<bool> escapes_, as_rows_;
  int end_;
};

}  // namespace fusible
