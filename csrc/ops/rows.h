// How operands of a row operator become blocks of rows: written once for every row operator.
#pragma once

#include <span>
#include <vector>

#include "ops/check.h"

namespace fusible {

// Less traffic than this is not worth waking a thread, which takes some 5 us.
inline constexpr int64_t kBytesPerThread = 64 << 10;

// A result of this size has left the caches before anyone reads it: it is stored past them. About
// half of the last-level cache that a handful of a server's cores share (1 to 4 MiB a core).
inline constexpr int64_t kStreamBytes = 8 << 20;

// An operand seen as rows: element (r, c) of its flattened rows is at row(r) + c * col_stride. Rows
// are numbered over the leading dimensions; where their strides do not fold into one, `outer` walks
// them.
struct RowsView {
  kernels::Block block;    // of row 0
  Sizes leading, strides;  // leading dimensions, and their strides in elements
  bool whole = false;      // no `...`: every row sees the same memory

  // Rows from `row` on that lie one row_stride apart, at most `limit` of them; *out is their block.
  int64_t Run(int64_t row, int64_t limit, kernels::Block* out) const;
};

// The view of `tensor` as operand or result `spec`. Throws ShapeError that names the call which
// makes the layout right, if the dimensions behind the leading ones are not contiguous.
RowsView ViewAsRows(const Op& op, const std::string& argument, const TypeSpec& spec,
                    const TensorView& tensor, bool column_layout);

// Calls op's row kernel on rows [begin, end), split where some operand's rows do not lie evenly.
void RunRows(const Op& op, const CallInfo& info, std::span<const RowsView> in,
             std::span<const RowsView> out, int64_t begin, int64_t end);

// A whole call whose operands and results with `...` are rows, as calls of `fn` on blocks of them,
// each with the same distance from row to row; for the kernels of matrix products. Throws as
// ViewAsRows does. The operand `any_step` may step in its last dimension (column layout).
void RunAsRows(const WholeCall& call, Op::RowsFn fn, std::string_view any_step = "");

// Index operands against their bounds, before a write. Throws RangeError naming the first bad
// value.
void CheckIndices(const Op& op, const Binding& binding, std::span<const TensorView> operands);

}  // namespace fusible
