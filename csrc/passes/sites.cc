#include "passes/sites.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "core/cat.h"
#include "ir/views.h"
#include "passes/savings.h"
#include "passes/support.h"

namespace fusible {
namespace {

constexpr std::string_view kClaimed = "claimed_by";

// A match of one rule, and why it does not fuse, if it does not.
struct Option {
  Match match;
  std::optional<Obstacle> refusal;
};

// A node that could be the last of a fused operator, with the rules that match there, larger first.
struct Site {
  int32_t root = -1;
  std::vector<Option> options;
  size_t at = 0;  // the first option that is not refused; options.size(): none is left

  const Match* current() const { return at < options.size() ? &options[at].match : nullptr; }
  void Advance() {
    while (at < options.size() && options[at].refusal) ++at;
  }
  void ForgetClaims() {
    for (Option& option : options) {
      if (option.refusal && option.refusal->reason == kClaimed) option.refusal.reset();
    }
    at = 0;
    Advance();
  }
};

// Whether fusing leaves no need for this value: made inside the match, and not one of its results.
bool IsInterior(const Match& match, ValueId value) {
  const Pattern& pattern = match.rule->pattern;
  for (size_t i = pattern.operands; i < pattern.makers.size(); ++i) {
    if (match.values[i] == value) return !pattern.IsOutput(static_cast<int>(i));
  }
  return false;
}

// Two sites that would become the very same call.
bool IsSameCall(const Match& a, const Match& b) {
  const auto operands = [](const Match& m) {
    return std::span(m.values).first(m.rule->pattern.operands);
  };
  return a.rule == b.rule && a.attrs == b.attrs && std::ranges::equal(operands(a), operands(b));
}

class DisjointSets {
 public:
  explicit DisjointSets(size_t size) : parents_(size) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }

  // One of the set, the same for all in it.
  size_t Find(size_t i) {
    while (parents_[i] != i) i = parents_[i] = parents_[parents_[i]];
    return i;
  }
  void Join(size_t a, size_t b) { parents_[Find(a)] = Find(b); }

 private:
  std::vector<size_t> parents_;
};

class Selector {
 public:
  Selector(const Matcher& matcher, const Target& target, std::span<const Rule* const> rules)
      : matcher_(matcher),
        graph_(matcher.graph()),
        target_(target),
        policy_(EscapePolicyOf(target)) {
    IndexRules(rules);
  }

  Selection Run() {
    Collect();
    for (const std::vector<Site*>& sites : Neighbourhoods()) {
      while (Settle(sites)) {
      }
    }
    Selection selection;
    for (const Site& site : sites_) {
      if (IsSuperseded(site)) continue;
      Report(site, &selection.misses);
      if (site.current()) selection.chosen.push_back(*site.current());
    }
    return selection;
  }

 private:
  // A rule is looked for where its last call is, and only if the graph has all of its calls.
  void IndexRules(std::span<const Rule* const> rules) {
    std::unordered_set<const Op*> present;
    for (const Node& node : graph_.nodes) present.insert(node.op);
    for (const Rule* rule : rules) {
      const std::vector<PatternNode>& calls = rule->pattern.nodes;
      if (std::ranges::all_of(calls, [&](const auto& call) { return present.contains(call.op); })) {
        rules_[calls.back().op].push_back(rule);
      }
    }
  }

  void Collect() {
    for (int32_t node = 0; node < static_cast<int32_t>(graph_.nodes.size()); ++node) {
      const auto rules = rules_.find(graph_.nodes[node].op);
      if (rules == rules_.end()) continue;
      Site site{.root = node, .options = {}};
      for (const Rule* rule : rules->second) {
        auto match = matcher_.At(*rule, node);
        if (!match) continue;
        std::optional<Obstacle> refusal;
        if (const auto lack = FindLack(target_, graph_, *match)) {
          refusal = Obstacle{lack->reason, node, lack->hint};
        } else if (!match->obstacles.empty()) {
          refusal = match->obstacles.front();
        }
        site.options.push_back({*std::move(match), std::move(refusal)});
      }
      SortBySavings(&site.options);
      site.Advance();
      if (!site.options.empty()) sites_.push_back(std::move(site));
    }
    owners_.resize(graph_.nodes.size());
    for (size_t i = 0; i < sites_.size(); ++i) {
      for (const Option& option : sites_[i].options) {
        for (int32_t node : option.match.nodes) {
          if (std::ranges::count(owners_[node], i) == 0) owners_[node].push_back(i);
        }
      }
    }
  }

  // The sites in sets, each in order of roots, such that none looks at one of another set: they
  // share no call, and none reads what another keeps inside. A graph of many layers has many.
  std::vector<std::vector<Site*>> Neighbourhoods() {
    DisjointSets sets(sites_.size());
    for (size_t i = 0; i < sites_.size(); ++i) {
      for (const Option& option : sites_[i].options) {
        for (int32_t node : option.match.nodes) {
          for (size_t other : owners_[node]) sets.Join(i, other);
          for (ValueId value : graph_.nodes[node].outputs) {
            if (IsInterior(option.match, value)) JoinReaders(i, value, &sets);
          }
        }
      }
    }
    std::map<size_t, std::vector<Site*>> found;
    for (size_t i = 0; i < sites_.size(); ++i) found[sets.Find(i)].push_back(&sites_[i]);
    std::vector<std::vector<Site*>> sites;
    for (auto& [first, set] : found) sites.push_back(std::move(set));
    return sites;
  }

  void JoinReaders(size_t site, ValueId value, DisjointSets* sets) const {
    for (int32_t user : matcher_.users(value)) {
      for (size_t other : owners_[user]) sets->Join(site, other);
      if (IsView(graph_.nodes[user])) JoinReaders(site, graph_.nodes[user].outputs[0], sets);
    }
  }

  // Rules of operators come by what they save in calls and values; beside given ones, bytes count
  // before that.
  void SortBySavings(std::vector<Option>* options) const {
    const auto is_given = [](const Option& option) { return option.match.rule->given(); };
    if (options->size() < 2 || std::ranges::none_of(*options, is_given)) return;
    std::ranges::stable_sort(*options, std::ranges::greater(), [&](const Option& option) {
      return SavedBytes(graph_, option.match);
    });
  }

  // One step; true when some site had to take a smaller rule, which changes what others may do.
  // Claims come last, and are judged anew whenever a site gave way for another reason: it may have
  // claimed.
  bool Settle(const std::vector<Site*>& sites) const {
    bool changed = false;
    for (Site* site : sites) {
      matcher_.Look();
      if (site->current() && !IsSuperseded(*site)) {
        changed |= Refuse(site, FindEscape(*site->current()));
      }
    }
    for (Site* site : sites) {
      if (site->current() && !IsSuperseded(*site))
        changed |= Refuse(site, FindTooFew(*site, sites));
    }
    if (changed) {
      for (Site* site : sites) site->ForgetClaims();
      return true;
    }
    for (Site* site : sites) {
      if (!site->current() || IsSuperseded(*site)) continue;
      if (Refuse(site, FindClaim(*site))) return true;
    }
    return false;
  }

  static bool Refuse(Site* site, std::optional<Obstacle> refusal) {
    if (!refusal) return false;
    site->options[site->at].refusal = std::move(refusal);
    site->Advance();
    return true;
  }

  // Sites whose present match holds the node.
  std::vector<const Site*> Holders(int32_t node) const {
    std::vector<const Site*> holders;
    for (size_t i : owners_[node]) {
      const Match* match = sites_[i].current();
      if (match && match->Contains(node)) holders.push_back(&sites_[i]);
    }
    return holders;
  }

  // A larger match gives everything that this site's root gives, so the root goes away.
  bool IsSuperseded(const Site& site) const {
    for (const Site* other : Holders(site.root)) {
      if (other->root == site.root) continue;
      const Match& match = *other->current();
      const auto gone = [&](ValueId value) {
        return match.Gives(value) || !FindReader(value, value, match);
      };
      if (std::ranges::all_of(graph_.nodes[site.root].outputs, gone)) return true;
    }
    return false;
  }

  // Who reads `value`, or a view of it, and is not fused with what makes it: a sentence; nullopt
  // where nobody does. `base` is what the match makes; value is base or a view of it.
  std::optional<std::string> FindReader(ValueId value, ValueId base, const Match& match) const {
    const std::string& name = graph_.values[value].name;
    if (matcher_.IsResult(value)) return Cat("do not return ", name, " from the graph");
    for (int32_t user : matcher_.users(value)) {
      matcher_.Look();
      const Node& node = graph_.nodes[user];
      if (IsView(node)) {
        if (auto reader = FindReader(node.outputs[0], base, match)) return reader;
      } else if (!IsTaken(user, base, match)) {
        const std::string label = matcher_.Label(user), kind = NodeName(node);
        return Cat("let only what is fused read ", name, ", not ", kind,
                   label == kind ? "" : Cat(" (", label, ")"));
      }
    }
    return std::nullopt;
  }

  bool IsTaken(int32_t user, ValueId base, const Match& match) const {
    return std::ranges::any_of(Holders(user), [&](const Site* site) {
      const Match& other = *site->current();
      return IsInterior(other, base) && (PolicyOf(match).recompute || IsSameCall(other, match));
    });
  }

  EscapePolicy PolicyOf(const Match& match) const { return match.rule->escape.value_or(policy_); }

  // A rule that wants several matches which share all but their last calls.
  std::optional<Obstacle> FindTooFew(const Site& site, const std::vector<Site*>& sites) const {
    const Match& match = *site.current();
    if (match.rule->each <= 1) return std::nullopt;
    const auto shares = [&](const Site* other) {
      const Match* at = other->current();
      return at && at->rule->op == match.rule->op && !IsSuperseded(*other) &&
             std::ranges::equal(std::span(at->nodes).first(at->nodes.size() - 1),
                                std::span(match.nodes).first(match.nodes.size() - 1));
    };
    const auto count = std::ranges::count_if(sites, shares);
    if (count >= match.rule->each) return std::nullopt;
    return Obstacle{"too_few", match.root(),
                    Cat("give ", match.rule->name(), " at least ", match.rule->each,
                        " such readers of what it shares, not ", count)};
  }

  // What else would help: of a given rule one decides oneself.
  std::string KeepHint(const Match& match, ValueId value) const {
    if (!match.rule->given()) return "";
    return Cat("; or set on_escape of ", match.rule->name(), " to keep, which computes ",
               graph_.values[value].name, " once more");
  }

  std::optional<Obstacle> FindEscape(const Match& match) const {
    if (PolicyOf(match).keep) return std::nullopt;
    for (int32_t node : match.nodes) {
      for (ValueId value : graph_.nodes[node].outputs) {
        if (!IsInterior(match, value)) continue;
        if (auto reader = FindReader(value, value, match)) {
          return Obstacle{"extra_user", node, *reader + KeepHint(match, value)};
        }
      }
    }
    return std::nullopt;
  }

  // A node that several different matches share, and that one of them gives the results of, need
  // not be computed by the others: they take a smaller rule and read its result.
  std::optional<Obstacle> FindClaim(const Site& site) const {
    const Match& match = *site.current();
    for (int32_t node : match.nodes) {
      if (node == match.root() || !GivesAll(match, node)) continue;
      for (const Site* other : Holders(node)) {
        if (other == &site || !ComesFirst(*other, site) || IsSuperseded(*other)) continue;
        if (IsSameCall(*other->current(), match) || !GivesAll(*other->current(), node)) continue;
        if (!HasSmaller(site, node) && SharesInterior(*other->current(), match)) continue;
        return Obstacle{std::string(kClaimed), node,
                        Cat(other->current()->rule->op->name(), " (", matcher_.Label(other->root),
                            ") computes ", matcher_.Label(node), " already")};
      }
    }
    return std::nullopt;
  }

  bool GivesAll(const Match& match, int32_t node) const {
    return std::ranges::none_of(graph_.nodes[node].outputs,
                                [&](ValueId value) { return IsInterior(match, value); });
  }

  static bool ComesFirst(const Site& a, const Site& b) {
    const size_t size_a = a.current()->nodes.size(), size_b = b.current()->nodes.size();
    return size_a != size_b ? size_a > size_b : a.root < b.root;
  }

  static bool HasSmaller(const Site& site, int32_t without) {
    for (size_t i = site.at + 1; i < site.options.size(); ++i) {
      if (!site.options[i].refusal && !site.options[i].match.Contains(without)) return true;
    }
    return false;
  }

  bool SharesInterior(const Match& a, const Match& b) const {
    return std::ranges::any_of(
        a.nodes, [&](int32_t node) { return b.Contains(node) && !GivesAll(b, node); });
  }

  void Report(const Site& site, std::vector<Miss>* misses) const {
    for (size_t i = 0; i < site.at; ++i) {
      const Obstacle& refusal = *site.options[i].refusal;
      misses->push_back({site.options[i].match.rule->op->name(), matcher_.Label(refusal.node),
                         refusal.reason, refusal.hint, SavedBytes(graph_, site.options[i].match)});
    }
  }

  const Matcher& matcher_;
  const Graph& graph_;
  const Target& target_;
  std::unordered_map<const Op*, std::vector<const Rule*>> rules_;  // by their last call
  EscapePolicy policy_;                                            // of rules that have none
  std::vector<Site> sites_;                                        // in order of their roots
  std::vector<std::vector<size_t>>
      owners_;  // for each node the sites of which some option holds it
};

}  // namespace

Selection SelectSites(const Matcher& matcher, const Target& target,
                      std::span<const Rule* const> rules) {
  return Selector(matcher, target, rules).Run();
}

}  // namespace fusible
