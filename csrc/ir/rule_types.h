// Whether what a given rule puts in place can have the types of what it finds.
#pragma once

#include "ir/pattern.h"

namespace fusible {

// find: an operator of the rule's signature that equals what is found. Both bodies are given
// operands of some types that the signature allows. GraphError, which says where they part, if the
// results never are those of the signature, or the replacement takes no types for which the calls
// that are found exist. Silent where these have no call among the types tried.
void CheckTypes(const Rule& rule, const Op& find);

// Of what ExpandEquals says, the reason alone, without the place in a text that few have at hand.
std::string BodyProblem(std::string_view message);

}  // namespace fusible
