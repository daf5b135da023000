// Whether rules that are given to a pipeline can be of use there.
#pragma once

#include <span>
#include <vector>

#include "passes/pass.h"

namespace fusible {

// GraphError, which names the rules, for two of one name, for rules that undo each other, and for
// one that can never apply: no pass applies it, the target lacks what it finds or puts in place,
// or another one takes all that it could.
void CheckGiven(std::span<const Rule> given, std::span<const Pass* const> passes,
                const Target& target);

// A line for each rule, in the order of names, for keys.
std::string GivenContracts(std::span<const Rule> given);

}  // namespace fusible
