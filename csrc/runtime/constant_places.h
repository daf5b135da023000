// Where weights, and what views show of them, lie: in the weights, or in copies made for a view
// that cannot show its operand as it lies.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "ir/graph.h"
#include "runtime/weight_copies.h"

namespace fusible {

// source: a weight's number, or behind them that of a copy. offset: bytes from where that begins.
struct ConstantPlace {
  int source = 0;
  int64_t offset = 0;
  ArrayLayout layout;
  WeightCopies::Copy copy;          // which the value lies in; none for a weight itself
  const std::byte* data = nullptr;  // where the source begins; nullptr: the weight was let go
};

// By value; nullopt for what is not made of weights, and for views that nobody reads. weights: of
// the graph's constants, in order. Copies are made at the first time, and found later.
std::vector<std::optional<ConstantPlace>> PlaceConstants(const Graph& graph,
                                                         std::span<const TensorView> weights,
                                                         WeightCopies& copies);

}  // namespace fusible
