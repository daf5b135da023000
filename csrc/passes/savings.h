// What fusing keeps out of memory.
#pragma once

#include <cstdint>

#include "ir/graph.h"
#include "ir/match.h"

namespace fusible {

// Bytes of a value in which every symbol is one: of one row, where rows are what is symbolic.
int64_t BytesPerRow(const Type& type);

// Bytes per row that the fused call of a match neither writes nor reads: what a call inside reads
// of another is not read from memory, and not written either where it is no result of the match.
int64_t SavedBytes(const Graph& graph, const Match& match);

}  // namespace fusible
