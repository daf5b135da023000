// What a fusion looks for, as data: a few operator calls with names for what may differ.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/condition.h"
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
  std::string opaque;         // the name of a call that is not ours, where op is null
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

// What may happen to a value inside a match that is read elsewhere too.
struct EscapePolicy {
  bool recompute = true;  // fuse if other matches take the other readers: each computes it again
  bool keep = false;      // fuse in any case: the value is computed for its other readers too
  friend bool operator==(const EscapePolicy&, const EscapePolicy&) = default;
};

// A condition of a given rule that is code: name and version stand for it in keys.
struct Predicate {
  using Operands = std::vector<std::optional<Type>>;
  std::string name, version;
  // "" where the rule applies to a call that binds so, else why it does not.
  std::function<std::string(const Op& op, const Operands& operands, const Binding& call)> test;
};

// Finds `pattern` and puts a call of `op` in its place, which stands for `body`.
struct Rule {
  const Op* op = nullptr;
  Pattern pattern;
  Pattern body;  // calls as they are written: of a registered operator, the call of it
  std::vector<std::string> via = {"reshape", "slice"};  // views to look through between two nodes
  std::optional<EscapePolicy> escape;                   // absent: as the target's costs say
  int each = 1;  // so many matches must share all but their last call, or none of them is taken
  std::vector<Condition> conditions;
  std::optional<Predicate> predicate;
  std::shared_ptr<const Op> own;  // of a given rule: op, which is not registered; Equals is body

  const std::string& name() const { return op->name(); }
  bool given() const { return own != nullptr; }
};

// The pattern that an operator Equals; calls in the body that themselves equal something are taken
// apart. GraphError, which names the operator, where the body cannot be a pattern, or where the
// fused call would lose something: an attribute or operand that the body does not use or the
// signature does not have, a call that does not lead to the last one.
Rule RuleOf(const Op& op);

// The calls of an operator's Equals. apart: those of fused operators taken apart too. where: what
// the text is called in errors.
Pattern PatternOf(const Op& op, bool apart, std::string_view where = "Equals");

// GraphError where a match would bind an attribute or operand that `op` does not take, or leave one
// of its own without a value: a replacement that ignores what was matched is wrong.
void CheckRule(const Rule& rule);

// Whether a comes first where both match and save as many bytes: the one that saves more calls,
// then more values; then a given rule, of these the one that asks for more; then by name.
bool ComesFirst(const Rule& a, const Rule& b);

// The rules of all registered operators with Equals, in that order.
const std::vector<Rule>& AllRules();
const Rule* FindRule(std::string_view name);

// Everything that the rule of a registered operator depends on, for keys.
std::string RuleContract(const Rule& rule);

}  // namespace fusible
