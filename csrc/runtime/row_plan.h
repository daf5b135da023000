// A row program for arrays that lie in memory in one way: steps, and where each finds its rows.
// Plain data but for the function pointers; another backend walks the same list.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "ir/graph.h"
#include "ops/rows.h"
#include "runtime/strided_copy.h"

namespace fusible {

inline constexpr int kMaxStepArgs = kMaxOperands;  // operands and results of one step

// How an array lies in memory, without the memory.
struct ArrayLayout {
  DType dtype = DType::kF32;
  Sizes shape, strides;  // elements

  int64_t bytes() const { return Product(shape) * static_cast<int64_t>(Bytes(dtype)); }
  bool Describes(const TensorView& tensor) const {
    return tensor.dtype == dtype && tensor.shape == shape && tensor.strides == strides;
  }
  friend bool operator==(const ArrayLayout&, const ArrayLayout&) = default;
};

struct RowLayouts {
  std::vector<ArrayLayout> inputs, results;
  std::vector<int> takes;     // for each result the input whose very memory it is, or -1
  std::vector<bool> streams;  // for each result: large, and nobody reads it soon
};

// Rows of an array that a step asks memory for while it writes those of a result: see Block.
struct RowAhead {
  int array = -1;         // as RowWalk has it; -1: none
  int64_t row_bytes = 0;  // from a row of the program to the next
  int64_t row = 0, step = 0;
};

// Where a step finds the rows of an operand or a result.
struct RowArg {
  int pointer = -1;       // into a block's table of pointers (RowPlan); -1: absent
  int64_t offset = 0;     // bytes from there
  int64_t row_bytes = 0;  // to the same place in the next row
  kernels::Block block;   // data is filled in for each call
  RowAhead ahead;         // of the next block
};

struct RowStep {
  Op::RowsFn fn = nullptr;         // nullptr: a copy of the one operand to the one result
  const CallInfo* info = nullptr;  // of a call
  CopyPlan copy;                   // of one row
  int first_arg = 0, operands = 0, results = 0;
  int64_t cost = 1;         // the operator's
  bool asks_ahead = false;  // likewise
  int64_t fold = 1;         // a row of the program is this many rows of the operator
  bool even =
      true;  // these lie evenly in every operand: one call for a block, else one for each row
};

// An operator whose index operands are checked before anything is written.
struct IndexCheck {
  struct Source {
    int param = 0, input = 0;
    int64_t offset = 0;  // bytes
  };
  const Op* op = nullptr;
  Binding binding;
  std::vector<TensorView> operands;  // data of the sources is filled in for each run
  std::vector<Source> sources;
};

// An input or result whose rows are walked. Bytes; the dimensions are RowPlan::outer, then inner
// rows.
struct RowWalk {
  int array = 0;  // an input, or (number of inputs) + a result
  Sizes outer;
  int64_t inner = 0;
};

// Steps that run block by block; those of the next phase begin when all blocks are done.
struct RowPhase {
  size_t begin = 0, end = 0;  // steps
  int64_t block_rows = 1;     // never across the end of RowPlan::inner
};

// A block's table of pointers: each input and result from its start, then each of them at the
// block's first row, then the scratch.
struct RowPlan {
  std::vector<RowStep> steps;
  std::vector<RowPhase> phases;
  std::vector<RowArg> args;
  std::vector<IndexCheck> checks;
  std::vector<RowWalk> walks;
  std::vector<std::unique_ptr<const CallInfo>> infos;  // steps point to them
  int inputs = 0, results = 0;
  Sizes outer;             // leading dimensions that do not lie evenly with the inner ones
  int64_t rows = 0;        // in all
  int64_t inner = 1;       // rows that lie evenly, in every array
  int64_t block_rows = 1;  // for which there is scratch
  int64_t grain = 1;       // rows that are worth waking a thread for: blocks, or kUnsplit
  int64_t scratch_bytes = 0;
  bool streams = false;  // some step stores past the caches

  int WalkPointer(int array) const { return inputs + results + array; }
  int ScratchPointer() const { return 2 * (inputs + results); }
};

// body, prefix: as RowProgram takes them; layouts: of its inputs and results. GraphError where it
// cannot run so.
RowPlan BuildRowPlan(const Graph& body, int prefix, const RowLayouts& layouts);

// inputs, results: where each array starts. Splits rows over threads; indices are checked before.
void RunRowPlan(const RowPlan& plan, std::span<std::byte* const> inputs,
                std::span<std::byte* const> results);

}  // namespace fusible
