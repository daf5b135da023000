// What rules mean for each other: one that leaves nothing for another, and rules that undo each
// other.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/pattern.h"

namespace fusible {

// Whether `first`, which comes first, takes every site that `rule` could: nothing is left for it.
// False where that cannot be told.
bool LeavesNothing(const Rule& first, const Rule& rule);

// Names of given rules each of which finds what the one before it leaves, and the first what the
// last leaves: they never come to an end. Empty where there are none; one name where a rule finds
// what it leaves itself.
std::vector<std::string> FindCycle(std::span<const Rule* const> rules);

// Whether a given rule puts in place just what it finds.
bool ChangesNothing(const Rule& rule);

}  // namespace fusible
