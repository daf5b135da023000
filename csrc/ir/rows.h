// Which nodes may run row by row together, over which dimensions, and in how much scratch.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/graph.h"

namespace fusible {

// Has a row kernel, and gives every row its own part of each result (a cache update does not).
bool IsRowOp(const Node& node);

// How many dimensions of an operand or result of this type stand for `...`.
int LeadingRank(const TypeSpec& spec, const Type& type);

// The dimensions that `...` stands for in a call of a row operator.
Shape LeadingDims(const Graph& graph, const Node& node);

// How many leading dimensions all row operators and views of the body share: a row program runs
// over these. 0 where some operator has no leading dimension (the whole call is one row). nullopt
// where the body cannot run so: something else than operators with row kernels and views in it, no
// dimension in common, a view that needs a copy, a whole operand or indices that the body itself
// makes, or a whole result that it does not give.
std::optional<int> CommonPrefix(const Graph& body);

// The most bytes, for one row over the first `prefix` dimensions, that values of the body which are
// not its results hold at the same time: what a region needs as scratch. The largest int64_t where
// a size behind the prefix is a symbol.
int64_t LiveBytesPerRow(const Graph& body, int prefix);

}  // namespace fusible
