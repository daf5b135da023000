// Two steps of a row program as one, by a kernel that does both row by row.
#pragma once

#include "runtime/row_draft.h"

namespace fusible {

// Makes one step of the last two, of which the second reads the one result of the first as its
// first operand (Op::Joins), while node `now` is added; gives that result's argument. nullptr, and
// nothing is done, where a row that the second writes may lie in another one's that the first reads
// (which no view that keeps rows even gives today).
RowArg* JoinLastSteps(RowDraft& draft, const RowLayouts& layouts, Op::RowsFn joint, int now);

}  // namespace fusible
