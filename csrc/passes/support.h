// What a target can run, and what of it a pass needs to know.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/match.h"
#include "ir/target.h"

namespace fusible {

// Why a target cannot run something, as in Miss.
struct Lack {
  std::string reason;  // no_kernel, op_variant
  std::string hint;
};

// Of a call of one operator: views run everywhere; a fused operator's variants are those of its
// parts.
std::optional<Lack> FindLack(const Target& target, const Op& op, const Attrs& attrs);

// Of what a match puts in place, and of the variants of the calls that it takes the place of.
std::optional<Lack> FindLack(const Target& target, const Graph& graph, const Match& match);

// Of what a rule puts in place, whatever the graph: why no graph can hold a match for the target.
std::optional<Lack> FindLack(const Target& target, const Rule& rule);

// The values that the target has of a fused operator's attributes, for its own sake or a part's; of
// attributes that are not listed it has all.
std::map<std::string, std::vector<AttrValue>> FindLimits(const Target& target, const Rule& rule);

// Whether a rule's calls are row operators, which a region can hold.
bool IsRowRule(const Rule& rule);

// Costs of the target: what holds for rules that say nothing else.
EscapePolicy EscapePolicyOf(const Target& target);

// How many calls of fused operators and regions of each name the graph holds.
std::map<std::string, int> CountFusions(const Graph& graph);

}  // namespace fusible
