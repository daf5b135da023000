// Whether what a rule puts in place can stand where its pattern was found.
#pragma once

#include "ir/match.h"

namespace fusible {

// Adds to the obstacles of a match that has none: what the fused call does not take or give, and
// what a given rule asks for.
void CheckContract(const Matcher& matcher, Match* match);

}  // namespace fusible
