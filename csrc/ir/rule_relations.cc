#include "ir/rule_relations.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "core/cat.h"

namespace fusible {
namespace {

constexpr int kUnbound = -2;

// Which values of the attributes of two calls count as the same.
enum class Sameness : uint8_t {
  kPossible,  // there is a call of the whole that the part matches
  kCertain,   // the part matches every call of the whole
};

// Finds a pattern in another one, call by call: `values` says which value stands for which.
class Embedding {
 public:
  Embedding(const Pattern& part, const Pattern& whole, Sameness sameness)
      : part_(part), whole_(whole), sameness_(sameness) {
    nodes_.assign(part.nodes.size(), -1);
    values_.assign(part.makers.size(), kUnbound);
  }

  bool Run() { return Assign(0); }
  int ValueOf(int value) const { return values_[value]; }
  // What of the whole stands for an attribute of the part, in one of the calls where it is bound.
  const std::map<std::string, std::pair<AttrPattern, const AttrSpec*>>& attrs() const {
    return attrs_;
  }

 private:
  bool Assign(size_t node) {
    if (node == part_.nodes.size()) return InteriorStaysInside();
    for (size_t i = 0; i < whole_.nodes.size(); ++i) {
      if (std::ranges::count(nodes_, static_cast<int>(i)) > 0) continue;
      const PatternNode& wanted = part_.nodes[node];
      const PatternNode& actual = whole_.nodes[i];
      if (!wanted.op || wanted.op != actual.op) continue;
      for (const bool swap : {false, true}) {
        if (swap && !wanted.op->commutes()) continue;
        const auto saved = std::tuple(nodes_, values_, attrs_);
        nodes_[node] = static_cast<int>(i);
        if (Agree(wanted, actual, swap) && Assign(node + 1)) return true;
        std::tie(nodes_, values_, attrs_) = saved;
      }
    }
    return false;
  }

  bool Agree(const PatternNode& wanted, const PatternNode& actual, bool swap) {
    for (size_t i = 0; i < wanted.attrs.size(); ++i) {
      if (!AgreeAttr(wanted.attrs[i].second, actual.attrs[i].second,
                     actual.op->signature().FindAttr(wanted.attrs[i].first))) {
        return false;
      }
    }
    for (size_t i = 0; i < wanted.operands.size(); ++i) {
      if (!Bind(wanted.operands[i], actual.operands[swap && i < 2 ? 1 - i : i])) return false;
    }
    for (size_t i = 0; i < wanted.results.size(); ++i) {
      if (!Bind(wanted.results[i], actual.results[i])) return false;
    }
    return true;
  }

  bool AgreeAttr(const AttrPattern& wanted, const AttrPattern& actual, const AttrSpec* spec) {
    if (const auto* bound = std::get_if<BoundAttr>(&wanted)) {
      const auto [at, fresh] = attrs_.try_emplace(bound->name, actual, spec);
      return fresh || at->second.first == actual ||
             (sameness_ == Sameness::kPossible && (IsBound(at->second.first) || IsBound(actual)));
    }
    if (std::holds_alternative<BoundAttr>(actual)) return sameness_ == Sameness::kPossible;
    return wanted == actual;
  }

  static bool IsBound(const AttrPattern& attr) { return std::holds_alternative<BoundAttr>(attr); }

  bool Bind(int value, int actual) {
    if (value < 0) return actual < 0;
    if (values_[value] == kUnbound) values_[value] = actual;
    return values_[value] == actual;
  }

  // What the part does not give must not be asked of the whole.
  bool InteriorStaysInside() const {
    for (int value = part_.operands; value < static_cast<int>(part_.makers.size()); ++value) {
      if (!part_.IsOutput(value) && whole_.IsOutput(values_[value])) return false;
    }
    return true;
  }

  const Pattern& part_;
  const Pattern& whole_;
  Sameness sameness_;
  std::vector<int> nodes_, values_;
  std::map<std::string, std::pair<AttrPattern, const AttrSpec*>> attrs_;
};

bool IsSubset(const std::vector<AttrValue>& values, const std::vector<AttrValue>& of) {
  return std::ranges::all_of(values,
                             [&](const AttrValue& v) { return std::ranges::count(of, v) > 0; });
}

// Whether an attribute of this spec takes every value that `given` can have; `call` and `own` are
// what the call that is found and the other rule say of it.
bool TakesAll(const AttrSpec& spec, const AttrPattern& given, const AttrSpec& call,
              const AttrSpec* own) {
  if (std::holds_alternative<std::monostate>(given)) return spec.optional;
  const auto* value = std::get_if<AttrValue>(&given);
  if (!value && own && own->optional && !spec.optional) return false;
  if (!spec.choices.empty()) {
    if (value) return IsSubset({*value}, spec.choices);
    const bool narrow = own && !own->choices.empty();
    const auto& possible = narrow ? own->choices : call.choices;
    if (possible.empty() || !IsSubset(possible, spec.choices)) return false;
  }
  return (!spec.lowest || (call.lowest && *call.lowest >= *spec.lowest)) &&
         (spec.value_of.empty() || !call.value_of.empty());
}

bool TakesAllAttrs(const Rule& first, const Rule& rule, const Embedding& embedding) {
  for (const auto& [name, found] : embedding.attrs()) {
    const auto* bound = std::get_if<BoundAttr>(&found.first);
    const AttrSpec* own = bound ? rule.op->signature().FindAttr(bound->name) : nullptr;
    if (!TakesAll(*first.op->signature().FindAttr(name), found.first, *found.second, own)) {
      return false;
    }
  }
  return true;
}

bool InClass(const std::string& wide, const std::string& narrow) {
  if (wide == narrow) return true;
  return IsDTypeClass(wide) && std::ranges::all_of(AllDTypes(), [&](const DTypeInfo& info) {
           const bool held =
               IsDTypeClass(narrow) ? InDTypeClass(narrow, info.dtype) : Name(info.dtype) == narrow;
           return !held || InDTypeClass(wide, info.dtype);
         });
}

bool Overlap(const std::string& a, const std::string& b) {
  const auto holds = [](const std::string& word, const DTypeInfo& info) {
    return IsDTypeClass(word) ? InDTypeClass(word, info.dtype)
                              : !FindDType(word) || Name(info.dtype) == word;
  };
  return std::ranges::any_of(
      AllDTypes(), [&](const DTypeInfo& info) { return holds(a, info) && holds(b, info); });
}

// Whether a dtype may be there that both rules take, for each operand that they have in common.
bool MayTake(const Rule& rule, const Rule& maker, const Embedding& embedding) {
  for (int i = 0; i < rule.pattern.operands; ++i) {
    const int other = embedding.ValueOf(i);
    if (other < 0 || other >= maker.pattern.operands) continue;
    if (!Overlap(rule.op->signature().params[i].type.dtype,
                 maker.op->signature().params[other].type.dtype)) {
      return false;
    }
  }
  return true;
}

// Sizes alone: dimensions, and letters that are the same, as their numbers.
std::vector<std::string> SizesOf(const Signature& signature, const std::vector<int>& params) {
  std::map<std::string, std::string> letters;
  std::vector<std::string> sizes;
  for (int param : params) {
    const TypeSpec& type = signature.params[param].type;
    std::string text = type.any_shape ? "any" : type.leading ? "..." : "";
    for (const DimExpr& dim : type.dims) {
      const std::string number = Cat("#", letters.size());
      text += Cat(",",
                  dim.IsName() ? letters.try_emplace(dim.name, number).first->second : ToText(dim));
    }
    sizes.push_back(text);
  }
  return sizes;
}

// Whether the operands of `first` may have any type that those of `rule` may have.
bool TakesAllTypes(const Rule& first, const Rule& rule, const Embedding& embedding) {
  std::vector<int> own, others;
  for (int i = 0; i < first.pattern.operands; ++i) {
    const int other = embedding.ValueOf(i);
    if (other < 0 || other >= rule.pattern.operands) return false;
    const ParamSpec& a = first.op->signature().params[i];
    const ParamSpec& b = rule.op->signature().params[other];
    if ((b.optional && !a.optional) || !InClass(a.type.dtype, b.type.dtype)) return false;
    own.push_back(i);
    others.push_back(other);
  }
  return first.op->signature().rules.empty() &&
         SizesOf(first.op->signature(), own) == SizesOf(rule.op->signature(), others);
}

// The same results, so that as many bytes are saved; a replacement of one call saves the most.
bool GivesAll(const Rule& first, const Rule& rule, const Embedding& embedding) {
  if (first.body.nodes.size() > 1 || first.pattern.outputs.size() != rule.pattern.outputs.size()) {
    return false;
  }
  return std::ranges::all_of(rule.pattern.outputs, [&](int wanted) {
    return std::ranges::any_of(first.pattern.outputs,
                               [&](int output) { return embedding.ValueOf(output) == wanted; });
  });
}

bool AsksNoMore(const Rule& first, const Rule& rule) {
  return first.conditions.empty() && !first.predicate && first.each == 1 &&
         (first.escape == rule.escape || (first.escape && first.escape->keep)) &&
         std::ranges::all_of(rule.via, [&](const std::string& view) {
           return std::ranges::count(first.via, view) > 0;
         });
}

// What a given rule leaves in a graph in which fused operators are taken apart.
Pattern Left(const Rule& rule) { return PatternOf(*rule.op, true, "replace"); }

bool IsSame(const Pattern& a, const Pattern& b) {
  Embedding embedding(a, b, Sameness::kCertain);
  if (a.nodes.size() != b.nodes.size() || a.outputs.size() != b.outputs.size()) return false;
  if (!embedding.Run()) return false;
  for (int i = 0; i < a.operands; ++i) {
    if (embedding.ValueOf(i) != i) return false;
  }
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    if (embedding.ValueOf(a.outputs[i]) != b.outputs[i]) return false;
  }
  return std::ranges::all_of(embedding.attrs(), [](const auto& attr) {
    return attr.second.first == AttrPattern(BoundAttr{attr.first});
  });
}

// What each given rule leaves, and which others find something in it.
class Chase {
 public:
  explicit Chase(std::span<const Rule* const> rules) {
    for (const Rule* rule : rules) {
      patterns_[rule->name()].push_back(rule);
      if (!left_.contains(rule->name())) left_[rule->name()] = Left(*rule);
    }
  }

  std::vector<std::string> FindCycle() {
    for (const auto& [name, rules] : patterns_) {
      path_ = {name};
      if (Extend()) return path_;
    }
    return {};
  }

 private:
  // Goes on from the end of the path until it comes back to its begin.
  bool Extend() {
    const std::string last = path_.back();
    if (!met_.insert(Cat(path_.front(), " ", last)).second) return false;
    for (const auto& [name, rules] : patterns_) {
      if (!Leads(last, name)) continue;
      if (name == path_.front()) return true;
      path_.push_back(name);
      if (Extend()) return true;
      path_.pop_back();
    }
    return false;
  }

  // Whether what one rule leaves holds what another finds. Where a rule only gives what it finds
  // another name, it is at rest behind itself; where it has conditions, it may end the chase.
  bool Leads(const std::string& from, const std::string& to) const {
    const Pattern& left = left_.at(from);
    const Rule& maker = *patterns_.at(from).front();
    return std::ranges::any_of(patterns_.at(to), [&](const Rule* rule) {
      Embedding embedding(rule->pattern, left, Sameness::kPossible);
      return rule->conditions.empty() && !rule->predicate && embedding.Run() &&
             MayTake(*rule, maker, embedding) && !(from == to && IsSame(left, rule->pattern));
    });
  }

  std::map<std::string, std::vector<const Rule*>> patterns_;
  std::map<std::string, Pattern> left_;
  std::vector<std::string> path_;
  std::set<std::string> met_;  // begin and end of the paths that were gone on from
};

}  // namespace

bool LeavesNothing(const Rule& first, const Rule& rule) {
  if (first.pattern.nodes.size() != rule.pattern.nodes.size()) return false;
  Embedding embedding(first.pattern, rule.pattern, Sameness::kCertain);
  return embedding.Run() && GivesAll(first, rule, embedding) && AsksNoMore(first, rule) &&
         TakesAllTypes(first, rule, embedding) && TakesAllAttrs(first, rule, embedding);
}

std::vector<std::string> FindCycle(std::span<const Rule* const> rules) {
  return Chase(rules).FindCycle();
}

bool ChangesNothing(const Rule& rule) {
  const bool plain = std::ranges::none_of(rule.body.nodes, [](const PatternNode& node) {
    return !node.op || !node.op->equals().empty();
  });
  return plain && IsSame(rule.body, rule.pattern);
}

}  // namespace fusible
