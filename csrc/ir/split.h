// Graphs cut into pieces that run one after the other, and put together again.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace fusible {

// What stands between two cuts, or one call that is cut at. The graph's inputs are what it reads
// from before it, in order of first use; its outputs are what is read behind it, or returned, in
// the order in which it makes them. Values keep their names.
struct Piece {
  std::string at;  // the name of the call that it is; "" for what stands between
  Graph graph;
};

// Cuts before and behind each call of these operators, opaque nodes and regions, in the order of
// the graph's nodes, so that mutations stay in order. Inputs keep their kind, but one is `updated`
// only in the piece that makes its new value out of it, and only where no later piece reads the old
// value.
// ArgumentError for no name, and for one that is neither an operator nor in the graph.
std::vector<Piece> SplitAt(const Graph& graph, std::span<const std::string> names);

// The whole graph again, with `graphs` in place of its pieces' own. Results of pieces have the
// names that they have in the whole graph.
// GraphError where a graph has not the inputs and outputs of its piece.
Graph Join(const Graph& whole, std::span<const Piece> pieces, std::span<const Graph> graphs);

}  // namespace fusible
