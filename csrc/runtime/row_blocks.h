// Parts of a graph that work row by row, matrix products among them: a few hundred rows at a time
// go through all of such a part, so that what it makes and reads itself needs room for these alone.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace fusible {

// Consecutive nodes that have rows over one symbol in common, in a graph of their own.
struct RowBlocks {
  int first = 0, last = 0;  // nodes [first, last) of the whole graph
  Dim rows;                 // the symbol
  // Its constants are the whole graph's, in order and used or not, so that weights have the same
  // numbers in both.
  Graph graph;
  // What the other inputs of `graph`, and its outputs, are in the whole graph.
  std::vector<ValueId> inputs, results;
};

// Those with a product and a value that nothing behind them reads; symbols not bound yet.
std::vector<RowBlocks> FindRowBlocks(const Graph& graph);

// How many of `rows` rows go through a part at a time: all of them, up to as many as a product
// converts at a time, else such blocks of about the same size.
int64_t BlockRows(int64_t rows);

}  // namespace fusible
