// How operands of a row operator become blocks of rows: written once for every row operator.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "ops/check.h"

namespace fusible {

// A result of this size, with what it is made of, has left the caches before anyone reads it: it is
// stored past them, and its operands are asked for ahead. A core's share of a server's last level
// is 1 to 4 MiB. With this bound, in place of 8 MiB, results of 4 to 7 MiB take on a Sapphire
// Rapids 0.37 to 0.51 of the time in norms (1.1 in rows of 576), 0.85 to 1.08 in
// fused_add_rms_norm; on a Zen 3, whose last level is 32 MiB, 0.52 to 1.01.
inline constexpr int64_t kStreamBytes = 4 << 20;

// An operand seen as rows: element (r, c) of its flattened rows is at row(r) + c * col_stride. Rows
// are numbered over the leading dimensions; where their strides do not fold into one, `outer` walks
// them.
struct RowsView {
  kernels::Block block;    // of row 0
  Sizes leading, strides;  // leading dimensions, and their strides in elements
  bool whole = false;      // no `...`: every row sees the same memory

  // Rows from `row` on that lie one row_stride apart, at most `limit` of them; *out is their block
  // in an array that begins at `data`.
  int64_t Run(int64_t row, int64_t limit, std::byte* data, kernels::Block* out) const;
};

inline constexpr size_t kMaxOperands = 16;       // operands and results of one operator
void RefuseMany(const Op& op, size_t operands);  // UnsupportedError above it

// Blocks that are set one by one: clearing all of them first takes longer than a short kernel.
union BlockRoom {
  BlockRoom() {}
  std::array<kernels::Block, kMaxOperands> blocks;
};

// The view of `tensor` as operand or result `spec`. Throws ShapeError that names the call which
// makes the layout right, if the dimensions behind the leading ones are not contiguous.
RowsView ViewAsRows(const Op& op, const std::string& argument, const TypeSpec& spec,
                    const TensorView& tensor, bool column_layout);

// Calls a row kernel. What it stores past the caches comes before all that follows.
void CallRows(Op::RowsFn fn, const RowCall& call);

// Calls a row kernel on rows [begin, end), split where some operand's rows do not lie evenly.
// views: of the operands, then of the results; memory: where each of them begins.
void RunRows(Op::RowsFn fn, const CallInfo& info, size_t operands, std::span<const RowsView> views,
             std::span<std::byte* const> memory, int64_t begin, int64_t end);

// A whole call whose operands and results with `...` are rows, as calls of `fn` on blocks of them,
// each with the same distance from row to row; for the kernels of matrix products. Throws as
// ViewAsRows does. The operand `any_step` may step in its last dimension (column layout).
void RunAsRows(const WholeCall& call, Op::RowsFn fn, std::string_view any_step = "");

// Index operands against their bounds, before a write. Throws RangeError naming the first bad
// value.
void CheckIndices(const Op& op, const Binding& binding, std::span<const TensorView> operands);
void CheckIndices(const Op& op, const ParamSpec& param, const TensorView& operand, int64_t bound);

}  // namespace fusible
