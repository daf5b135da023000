#include "passes/given_rules.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/cat.h"
#include "core/error.h"
#include "ir/given_rule.h"
#include "ir/rule_relations.h"
#include "ir/structure.h"
#include "passes/support.h"

namespace fusible {
namespace {

using Passes = std::span<const Pass* const>;
using Patterns = std::map<std::string, std::vector<const Rule*>>;  // of each given rule

Patterns ByName(std::span<const Rule> given) {
  Patterns patterns;
  for (const Rule& rule : given) {
    std::vector<const Rule*>& same = patterns[rule.name()];
    if (!same.empty() && same.front()->own != rule.own) {
      throw GraphError(Cat("rules: expected one of each name, got two of ", rule.name()));
    }
    same.push_back(&rule);
  }
  return patterns;
}

void CheckPasses(Passes passes) {
  std::string names;
  for (const Pass* pass : passes) {
    if (!pass->rules().empty()) return;
    names += Cat(names.empty() ? "" : ",", pass->name());
  }
  throw GraphError(
      Cat("rules: expected a pass in the pipeline that applies them, fuse-ops or "
          "fuse-rows, got ",
          names));
}

void CheckEnd(std::span<const Rule* const> rules) {
  const std::vector<std::string> cycle = FindCycle(rules);
  if (cycle.empty()) return;
  if (cycle.size() == 1) {
    throw GraphError(Cat(cycle[0],
                         ": expected a replacement in which the rule finds nothing, got "
                         "one that holds what it finds"));
  }
  std::string names;
  for (const std::string& name : cycle) names += Cat(names.empty() ? "" : ", ", name);
  throw GraphError(Cat("rules: expected an end, got rules that undo each other: ", names));
}

// Which rule of a pass leaves nothing for this one on the target; nullptr: none.
const Rule* FindShadow(const Rule& rule, const Pass& pass, const Target& target) {
  for (const Rule* first : pass.rules()) {
    if (first->own != rule.own && ComesFirst(*first, rule) && !FindLack(target, *first) &&
        LeavesNothing(*first, rule)) {
      return first;
    }
  }
  return nullptr;
}

// Why a pattern of a rule is never found; "" where it may be.
std::string Hopeless(const Rule& rule, Passes passes, const Target& target) {
  if (const auto lack = FindLack(target, rule)) {
    return Cat("never applies on ", target.name, ": ", lack->reason, ": ", lack->hint);
  }
  const Rule* shadow = nullptr;
  for (const Pass* pass : passes) {
    if (pass->rules().empty()) continue;
    shadow = FindShadow(rule, *pass, target);
    if (!shadow) return "";
  }
  return Cat("never applies: ", shadow->name(),
             " finds the same and comes first; give it a "
             "condition, or take one of them out");
}

}  // namespace

void CheckGiven(std::span<const Rule> given, Passes passes, const Target& target) {
  if (given.empty()) return;
  const Patterns patterns = ByName(given);
  CheckPasses(passes);
  std::vector<const Rule*> all;
  for (const Rule& rule : given) all.push_back(&rule);
  CheckEnd(all);
  for (const auto& [name, rules] : patterns) {
    std::string reason;
    for (const Rule* rule : rules) {
      reason = Hopeless(*rule, passes, target);
      if (reason.empty()) break;
    }
    if (!reason.empty()) throw GraphError(Cat(name, ": ", reason));
  }
}

std::string GivenContracts(std::span<const Rule> given) {
  std::set<std::string> lines;
  for (const Rule& rule : given) {
    lines.insert(Cat(rule.name(), " ", HashOf({GivenContract(rule)}), "\n"));
  }
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

}  // namespace fusible
