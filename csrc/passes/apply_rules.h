// Rules applied to a graph: what they find, and what is put in its place.
#pragma once

#include <span>
#include <vector>

#include "passes/pass.h"

namespace fusible {

// Both lists in the order in which they come first where several match.
std::vector<const Rule*> Ordered(std::span<const Rule> some, std::span<const Rule> others);

// Takes fused calls apart, and puts what the rules say in place of what they find. The graph stays
// as it is where that comes to the same. A rewrite for each match, by the rule's name.
void ApplyRules(Graph& graph, const Target& target, std::span<const Rule* const> rules,
                Report& report);

}  // namespace fusible
