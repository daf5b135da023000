// Other groups of row operators, where these move fewer bytes.
#pragma once

#include <utility>
#include <vector>

#include "ir/target.h"
#include "passes/grouping.h"
#include "passes/pass.h"

namespace fusible {

// contested: row operators that read each other or the same value and are in different groups.
// Where so few of them are contested that all regions can be tried, puts those in place that move
// the fewest bytes, if these are fewer than now. A step that moves memory and computes next to
// nothing may then run in several regions, instead of being written and read back. Where groups are
// too large for that, they stay together, and only such steps at their beginning move. Returns the
// row operators of the groups that were replaced.
Members PlanRegions(const RowGraph& rows, const Target& target,
                    const std::vector<std::pair<int32_t, int32_t>>& contested, Grouping& groups,
                    std::vector<Choice>& choices);

}  // namespace fusible
