// What a fusion looks for, as data: a few operator calls with names for what may differ.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ops/op.h"

namespace fusible {

// Stands for an attribute of the fused operator, whatever its value.
struct BoundAttr {
  std::string name;
  friend bool operator==(const BoundAttr&, const BoundAttr&) = default;
};

// What an attribute of a matched call must be: this value, the same value wherever the name stands,
// or (monostate) absent.
using AttrPattern = std::variant<std::monostate, AttrValue, BoundAttr>;

struct PatternNode {
  const Op* op = nullptr;
  std::vector<int> operands;  // values of the pattern; -1: must be absent
  std::vector<std::pair<std::string, AttrPattern>> attrs;  // each attribute of op
  std::vector<int> results;                                // values of the pattern
};

// Values are numbered: first the fused operator's operands, then the results of the nodes.
struct Pattern {
  int operands = 0;
  std::vector<PatternNode> nodes;  // in topological order; every one leads to the last, the root
  std::vector<int> makers;         // for each value its node, -1 for operands
  std::vector<int> outputs;        // the values that stand for the fused operator's results

  bool IsOutput(int value) const;
};

// Finds `pattern` and puts a call of `op` in its place.
struct Rule {
  const Op* op = nullptr;
  Pattern pattern;
  std::vector<std::string> via = {"reshape", "slice"};  // views to look through between two nodes
};

// The pattern that an operator Equals; calls in the body that themselves equal something are taken
// apart. GraphError, which names the operator, where the body cannot be a pattern, or where the
// fused call would lose something: an attribute or operand that the body does not use or the
// signature does not have, a call that does not lead to the last one.
Rule RuleOf(const Op& op);

// GraphError where a match would bind an attribute or operand that `op` does not take, or leave one
// of its own without a value: a replacement that ignores what was matched is wrong.
void CheckRule(const Rule& rule);

// The rules of all registered operators with Equals: larger bodies first, then more values saved.
const std::vector<Rule>& AllRules();
const Rule* FindRule(std::string_view name);

// Everything that the rule depends on, for keys.
std::string RuleContract(const Rule& rule);

}  // namespace fusible
