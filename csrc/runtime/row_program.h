// A graph of row operators over common leading dimensions, run block by block through a scratch
// that stays in cache. Plain data: a list of steps that a backend walks.
#pragma once

#include <memory>
#include <span>

#include "core/tensor.h"
#include "ir/graph.h"

namespace fusible {

struct RowPlan;

class RowProgram {
 public:
  // body: row operators and views only (ir/rows.h says which), every size constant. prefix: how
  // many leading dimensions are common. GraphError if the body cannot run so.
  RowProgram(const Graph& body, int prefix);
  ~RowProgram();
  RowProgram(RowProgram&&) noexcept;

  // What a run on arrays that lie so walks (RunRowPlan); data says which of them share memory.
  // inputs and results as the body's; results may take the memory of inputs where the body says
  // `@`: a program never writes a row of memory that a later step of that block still reads.
  std::shared_ptr<const RowPlan> PlanFor(std::span<const TensorView> inputs,
                                         std::span<const TensorView> results) const;

  int64_t block_rows() const;     // rows of a block
  int64_t scratch_bytes() const;  // of one thread

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fusible
