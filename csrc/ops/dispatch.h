// A call of one operator that has a kernel of its own, on arrays.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/check.h"
#include "ops/rows.h"

namespace fusible {

// Whether two arrays are the same elements in the same memory; where a dimension has one element,
// its stride means nothing.
bool SameElements(const TensorView& a, const TensorView& b);

// The arrays of a call, as they lie in memory, and what comes before any kernel. memory, in what
// follows: where each operand, then each result begins.
class CallArrays {
 public:
  CallArrays(const Op& op, const Binding& binding, std::span<const TensorView> operands,
             std::span<const TensorView> results);

  size_t size() const { return arrays_.size(); }
  size_t operands() const { return operands_; }
  const TensorView& operator[](size_t i) const { return arrays_[i]; }
  TensorView At(size_t i, std::span<std::byte* const> memory) const;

  // Checks indices, before anything is written. A whole result `y@x` then begins as a copy of x,
  // unless it is x's memory.
  void Begin(std::span<std::byte* const> memory) const;

 private:
  struct Indices {
    size_t operand = 0;
    int64_t bound = 0;
  };
  struct Copy {
    size_t from = 0, to = 0;
  };

  const Op* op_;
  size_t operands_;
  std::vector<TensorView> arrays_;  // operands, then results, as they were
  std::vector<Indices> indices_;
  std::vector<Copy> copies_;
};

// All of a call that follows from its types, its attributes and how its arrays lie in memory, found
// once: what is left for each call is where the arrays are.
class KernelCall {
 public:
  // operands and results follow the signature and do not overlap but as it says (CheckOverlap);
  // absent optional operands have data == nullptr and rank 0. Throws ShapeError for a layout that
  // the operator does not take. op must outlive it.
  KernelCall(const Op& op, const Binding& binding, std::span<const TensorView> operands,
             std::span<const TensorView> results);

  // A result has the memory of the same operand as before, or of none. Checks indices before
  // anything is written.
  void Run(std::span<std::byte* const> memory) const;

 private:
  void PrepareRows(const Binding& binding);
  void MarkLarge();
  void RunWhole(std::span<std::byte* const> memory) const;

  const Op* op_;
  CallInfo info_;
  CallArrays arrays_;
  std::vector<RowsView> views_;  // of the arrays of a row operator
  int64_t rows_ = 0, grain_ = 1;
};

// The bytes from the first to the last element; nothing for an array without elements.
struct Extent {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};
Extent ExtentOf(const TensorView& tensor);

// Refuses a result that overlaps an operand other than as `y@x` says (same memory, shape, strides),
// that overlaps another result, or itself.
void CheckOverlap(const Op& op, std::span<const TensorView> operands,
                  std::span<const TensorView> results);

}  // namespace fusible
