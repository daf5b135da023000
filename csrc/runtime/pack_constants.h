// What is done to weights when an executable is prepared, so that no call has to do it.
#pragma once

#include <span>
#include <vector>

#include "core/tensor.h"
#include "ir/graph.h"
#include "runtime/weight_copies.h"

namespace fusible {

// A graph's `constant` input; of a packed one, data is where that lies (runtime/packed_weight.h).
struct Weight {
  TensorView view;
  bool packed = false;
};

// Packs each weight, or view of one, that a product multiplies by, and takes those that are packed.
// weights: in order. Returns for each of them whether calls read it where it lies.
// ArgumentError for a packed one that something else than products, or a view, wants.
std::vector<bool> PackConstants(const Graph& graph, std::span<const Weight> weights,
                                WeightCopies& copies);

}  // namespace fusible
