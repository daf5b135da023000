// Where the values of a graph lie while its plan is made, and the copies this needs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/constant_places.h"
#include "runtime/plan.h"

namespace fusible {

class PlanStore {
 public:
  // The graph, whose sizes are numbers, the weights, the copies and the plan outlive this.
  PlanStore(const Graph& graph, std::span<const TensorView> inputs,
            std::span<const TensorView> weights, WeightCopies& copies, Executable::Plan& plan);

  Sizes ShapeOf(ValueId value) const { return *ToSizes(graph_.TypeOf(value).shape); }
  int64_t BytesOf(ValueId value) const;
  ArrayLayout LayoutOf(ValueId value) const;
  bool IsContiguous(ValueId value) const;
  // All of its block's memory, in order.
  bool Fills(ValueId value) const;
  bool SameBlock(ValueId a, ValueId b) const { return stored_[a].block == stored_[b].block; }
  // The input, weights not counted, whose memory the value lies in.
  std::optional<int> InputOf(ValueId value) const;
  // In a block that a step made and nothing else has claimed.
  bool IsOwn(ValueId value) const { return blocks_[stored_[value].block].home.base < 0; }

  void AddOwn(ValueId value, int64_t column_alignment);
  void AddShared(ValueId value, ValueId operand);  // which Fills its block
  void AddView(const Node& node);
  // Gives the value, from now on, a copy without gaps if it has any.
  void MakeContiguous(ValueId value);
  void AddCopy(ValueId from, ValueId to);
  // The value as a packed weight, if it is made of weights.
  std::optional<Memory> UsePacked(ValueId value);

  // The value has a place already.
  bool Holds(ValueId value) const { return stored_[value].block >= 0; }
  // The value's memory as the step about to be added uses it: a block, until Finish.
  Memory Use(ValueId value);
  // Memory of the step about to be added alone.
  Memory UseScratch(int64_t bytes);

  // Lets result k be the value's own memory, or a copy of it; returns how it lies. is_input: where
  // the memory is an input's, it is the caller's array.
  Executable::ResultSpec AddResult(ValueId value, int k, bool is_input);

  // Decides the arena, and tells every step its memory.
  void Finish();

 private:
  // Memory of one or, one after the other, several values.
  struct Block {
    int64_t bytes = 0;
    int first = -1, last = -1;  // steps
    Memory home;                // base -1: in the arena, unless a result's memory becomes its home
  };
  struct Stored {
    int block = -1;
    int64_t offset = 0;  // bytes
    Sizes strides;       // elements
  };

  // The block of what a constant lies in.
  int BlockOf(const ConstantPlace& place);
  int AddCopyBlock(const WeightCopies::Copy& copy);
  int AddBlock(int64_t bytes, int base = -1);
  void Touch(int block);
  ViewResult View(const Node& node) const;
  void AddCopyStep(ValueId value, const Stored& from, const Stored& to);
  // All of its block's memory, by rows or by columns.
  bool IsWhole(ValueId value) const;
  void PlaceBlocks();
  void Resolve(Memory& memory) const;
  void Resolve(BlocksRun& run) const;
  void Resolve(PlanStep& step) const;

  const Graph& graph_;
  WeightCopies& copies_;
  Executable::Plan& plan_;
  const std::vector<std::optional<ConstantPlace>> constants_;  // by value, wherever stored_ is
  std::vector<Stored> stored_;                                 // by value
  std::vector<Block> blocks_;
  std::map<int, int> source_blocks_;  // of ConstantPlace::source
};

}  // namespace fusible
