// Rules that are no registered operator: what to find and what to put in its place, as text.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/pattern.h"

namespace fusible {

inline constexpr size_t kMostPatterns = 16;  // of one given rule
inline constexpr size_t kMostCalls = 16;     // of one pattern: commuting ones are tried both ways

struct RuleText {
  std::string signature;          // types the operands and attributes; its name is the rule's
  std::vector<std::string> find;  // bodies as in Equals; each is looked for
  std::string replace;  // a body as in Equals, which may call `opaque(…, name="my_kernel")`
  std::vector<std::string> via = {"reshape", "slice"};
  std::optional<EscapePolicy> escape;
  int each = 1;
  std::vector<std::string> conditions;
  std::optional<Predicate> predicate;
};

// A rule for each text to find. GraphError, which names the rule, for a text that is none, for what
// the replacement drops, and for a replacement that cannot have the types of what is found.
std::vector<Rule> MakeRules(const RuleText& text);

// Why the rule does not apply to a call that binds so; empty where it does.
struct Refusal {
  std::string reason;  // as in Obstacle
  std::string hint;
};
std::optional<Refusal> FindRefusal(const Rule& rule, const Predicate::Operands& operands,
                                   const Binding& call);

// The structure of a given rule, for keys: nothing of how its texts are written, and no names but
// its own.
std::string GivenContract(const Rule& rule);

}  // namespace fusible
