// A row plan before its blocks have a size and its temporaries an offset.
#pragma once

#include <optional>
#include <vector>

#include "runtime/row_plan.h"

namespace fusible {

// Where a value's elements are. Roots are the inputs, then the results, then temporaries.
struct RowPlace {
  int root = -1;
  int64_t offset = 0;  // bytes
  Sizes strides;       // elements; a temporary's as if it held all rows
};

// Memory of a block's rows of one value, without gaps.
struct RowTemporary {
  int64_t row_bytes = 0;
  int first = 0, last = 0;  // nodes
};

// A step's argument: the operator's rows within a row of the program are its dimensions
// [prefix, leading). whole: every row sees the same memory.
struct RowArgDraft {
  RowPlace place;  // root -1: absent
  Sizes shape;
  int leading = 0;
  bool whole = false;
};

struct RowDraft {
  RowPlan plan;
  std::vector<RowArgDraft> args;  // as plan.args
  std::vector<RowTemporary> temporaries;
  Sizes rows;  // the common leading dimensions

  int prefix() const { return rows.size(); }
  bool IsTemporary(int root) const { return root >= plan.inputs + plan.results; }
  RowTemporary& TemporaryOf(int root) { return temporaries[root - plan.inputs - plan.results]; }
};

int64_t ProductFrom(const Sizes& sizes, int from);

// Whether the dimensions from `from` on follow each other without gaps.
bool IsPacked(const Sizes& sizes, const Sizes& strides, int from);

// The one stride of the dimensions [from, to), if they lie evenly; 0 where they hold one row.
std::optional<int64_t> FoldedStride(const Sizes& sizes, const Sizes& strides, int from, int to);

// Decides how many rows a block has, which rows lie evenly, and the offset of every temporary.
RowPlan FinishRowPlan(RowDraft draft, const RowLayouts& layouts);

}  // namespace fusible
