// One operator on arrays: its kernel, or the row program of what it Equals.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ops/dispatch.h"

namespace fusible {

class Executable;
struct RowPlan;

// Like KernelCall (ops/dispatch.h), of any operator that is no view: one without a kernel runs its
// Equals body as a row program, or as a graph where that has products in it: made once per
// (operator, types, attributes, and a packed weight's memory) and kept.
class EagerCall {
 public:
  EagerCall(const Op& op, const Binding& binding, std::span<const TensorView> operands,
            std::span<const TensorView> results);

  void Run(std::span<std::byte* const> memory) const;

 private:
  void RunParts(std::span<std::byte* const> memory) const;

  std::optional<KernelCall> kernel_;
  std::optional<CallArrays> arrays_;     // where there is no kernel
  std::vector<size_t> present_;          // operands that the program has as inputs
  std::shared_ptr<const RowPlan> plan_;  // of rows, or
  std::shared_ptr<Executable> graph_;
};

}  // namespace fusible
