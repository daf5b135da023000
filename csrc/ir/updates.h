// Which result of a graph is the new value of an updated input. Decided once, where a graph begins
// (parsed or traced), and kept by number: what passes make of the nodes between does not matter.
#pragma once

#include <map>
#include <vector>

#include "ir/graph.h"

namespace fusible {

// The operands whose memory a call's result may take: that of `y@x`, and of an operator that
// commutes its partner. Declared ones first; none of views, regions and opaque nodes.
std::vector<ValueId> MemoryOperands(const Node& node, ValueId result);

// For each updated input the results (indices into outputs, ascending, one a value) that could be
// its new value: of its type, and made from it by results that may take their operand's memory,
// through views and regions, but not from another result of the graph.
std::map<ValueId, std::vector<int>> NewValueChoices(const Graph& graph);

// Sets `new_value` of the updated inputs that have one choice.
void FindNewValues(Graph& graph);

}  // namespace fusible
