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

// Of the fused operator of a match, and of the variants of the calls that it takes the place of.
std::optional<Lack> FindLack(const Target& target, const Graph& graph, const Match& match);

// Of the fused operator of a rule, whatever the graph: why no graph can hold a match for the
// target.
std::optional<Lack> FindLack(const Target& target, const Rule& rule);

// The values that the target has of a fused operator's attributes, for its own sake or a part's; of
// attributes that are not listed it has all.
std::map<std::string, std::vector<AttrValue>> FindLimits(const Target& target, const Rule& rule);

// Whether a rule's calls are row operators, which a region can hold.
bool IsRowRule(const Rule& rule);

// What may happen to a value inside a match that is read elsewhere too: costs of the target.
struct EscapePolicy {
  bool recompute = true;  // fuse if other matches take the other readers: each computes it again
  bool keep = false;      // fuse in any case: the value is computed for its other readers too
};
EscapePolicy EscapePolicyOf(const Target& target);

// How many calls of fused operators and regions of each name the graph holds.
std::map<std::string, int> CountFusions(const Graph& graph);

}  // namespace fusible
