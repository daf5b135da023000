// What a region is called.
#pragma once

#include <string>

#include "ir/graph.h"

namespace fusible {

// The operator that the body is, with all of its results and no others; nullptr where there is
// none.
const Op* FindEqualOperator(const Graph& body);

// That operator's name, else the body's parts joined by '+' in dataflow order.
std::string RegionName(const Graph& body);

}  // namespace fusible
