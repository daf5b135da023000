// A graph's steps for inputs of certain sizes and strides, with all memory decided.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ops/check.h"
#include "ops/dispatch.h"
#include "runtime/executor.h"
#include "runtime/row_plan.h"
#include "runtime/weight_copies.h"

namespace fusible {

// Bytes from a base of a run: the arena, an input, a weight, a result, or a weight's copy, in the
// order of PlanBases.
struct Memory {
  int base = -1;  // -1: absent
  int64_t offset = 0;
};

struct PlanBases {
  int inputs = 0, weights = 0, results = 0, copies = 0;

  static constexpr int kArena = 0;
  int Input(int i) const { return 1 + i; }
  int Weight(int i) const { return 1 + inputs + i; }
  int Result(int i) const { return 1 + inputs + weights + i; }
  int Copy(int i) const { return 1 + inputs + weights + results + i; }
  int count() const { return Copy(copies); }
};

struct RowsRun {
  RowPlan plan;
  std::vector<Memory> memory;  // inputs, then results
};

struct KernelRun {
  const Op* op = nullptr;
  Binding binding;
  CallInfo info;
  bool has_indices = false;
  std::vector<TensorView> tensors;  // operands, then results; data is filled in for each run
  std::vector<Memory> memory;
};

struct CopyRun {
  CopyPlan plan;
  Memory from, to;
};

struct PlanStep {
  std::variant<RowsRun, KernelRun, CopyRun> run;
  std::string name, result;
  int64_t bytes = 0, flops = 0;
};

class Executable::Plan {
 public:
  std::vector<ArrayLayout> inputs;  // that it is for
  std::vector<std::string> input_names;
  std::vector<PlanStep> steps;
  std::vector<ResultSpec> results;
  std::vector<int> in_place;    // inputs that a run writes
  std::vector<Extent> weights;  // where weights lie, neighbours as one, by address
  std::vector<std::shared_ptr<const Buffer>> weight_copies;
  PlanBases bases;
  int64_t arena_bytes = 0;
  int most_pointers = 0;  // of a step of rows
};

// graph: every size a number. weights: its `constant` inputs, in order.
std::shared_ptr<const Executable::Plan> MakePlan(const Graph& graph,
                                                 std::span<const TensorView> inputs,
                                                 std::span<const TensorView> weights,
                                                 WeightCopies& copies);

}  // namespace fusible
