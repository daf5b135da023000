// A graph's steps for inputs of certain sizes and strides, with all memory decided.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ops/check.h"
#include "ops/dispatch.h"
#include "runtime/executor.h"
#include "runtime/row_blocks.h"
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

// A part of the graph, for `block_rows` of its rows after another, and for those that are left.
struct BlocksRun {
  // An operand or result: bytes from a block's rows to the next one's, 0 for a whole operand.
  struct Array {
    Memory memory;
    int64_t step = 0;
  };
  std::shared_ptr<const Executable::Plan> block, rest;  // rest: nullptr where none are left
  int64_t rows = 0, block_rows = 0;
  std::vector<Array> inputs, results;
  Memory arena;  // of one block
};

struct PlanStep {
  std::variant<RowsRun, KernelRun, CopyRun, BlocksRun> run;
  std::string name, result;  // of blocks: none, as their steps have names
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
  std::vector<WeightCopies::Copy> weight_copies;
  PlanBases bases;
  int64_t arena_bytes = 0;
  int most_pointers = 0;  // of a step of rows

  // Bytes that a run needs: the arena, then the pointers of bases and of one step.
  int64_t Room() const {
    return arena_bytes + (bases.count() + most_pointers) * int64_t{sizeof(std::byte*)};
  }
};

// What a plan is made for. weights: the graph's `constant` inputs, in order. blocks: parts that run
// in blocks of rows where there are many.
struct PlanProblem {
  const Graph& graph;  // with its symbols
  std::map<std::string, int64_t> sizes;
  std::span<const TensorView> inputs, weights;
  std::span<const RowBlocks> blocks;
};

std::shared_ptr<const Executable::Plan> MakePlan(const PlanProblem& problem, WeightCopies& copies);

}  // namespace fusible
