#include "passes/apply_rules.h"

#include <algorithm>
#include <deque>

#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"
#include "ir/infer.h"
#include "ir/key.h"
#include "ir/match.h"
#include "ir/views.h"
#include "ops/registry.h"
#include "passes/edit.h"
#include "passes/savings.h"
#include "passes/sites.h"

namespace fusible {
namespace {

// A call that stands for the replacement of a given rule.
bool IsGivenCall(const Node& node) { return node.op && FindOp(node.op->name()) != node.op; }

// Puts fused calls where matches are. Calls that are equal are made once; views that a match looks
// through are taken again of the fused call's results.
class Rewriter {
 public:
  explicit Rewriter(const Graph& graph)
      : original_(graph), mutations_(MutationsBefore(graph)), inserted_(graph.nodes.size()) {
    graph_.values = graph.values;
    graph_.types = graph.types;
    graph_.inputs = graph.inputs;
    graph_.outputs = graph.outputs;
  }

  void Apply(const Match& match) {
    const Pattern& pattern = match.rule->pattern;
    const ValueIds& results = Call(match);
    for (size_t i = 0; i < results.size(); ++i) {
      const ValueId value = match.values[pattern.outputs[i]];
      Give(results[i], value, match.views[pattern.makers[pattern.outputs[i]]], match.root());
    }
  }

  // GraphError where the fused calls need each other.
  Graph Finish() {
    std::vector<Node> nodes;
    nodes.reserve(original_.nodes.size() + made_.size());
    for (size_t i = 0; i < original_.nodes.size(); ++i) {
      Node node = original_.nodes[i];
      for (ValueId& output : node.outputs) {
        if (IsTaken(output)) output = Fresh(output, graph_.TypeOf(output));
      }
      nodes.push_back(std::move(node));
      std::ranges::move(inserted_[i], std::back_inserter(nodes));
    }
    graph_.nodes = std::move(nodes);
    replaced_.Apply(graph_);
    SortTopologically(graph_);
    DropDeadNodes(graph_);
    Expand(graph_, IsGivenCall);
    return std::move(graph_);
  }

 private:
  bool IsTaken(ValueId value) const {
    return value < static_cast<ValueId>(taken_.size()) && taken_[value];
  }
  void Take(ValueId value) {
    taken_.resize(graph_.values.size(), false);
    taken_[value] = true;
  }
  ValueId Fresh(ValueId like, const Type& type) {
    const std::string name = graph_.values[like].name;
    return graph_.AddValue(name, type);
  }

  // The results of the fused call, in the shape it runs over: made now, or by an equal match
  // before.
  const ValueIds& Call(const Match& match) {
    const Pattern& pattern = match.rule->pattern;
    Node call;
    call.op = match.rule->op;
    call.attrs = match.attrs;
    call.inputs.assign(match.values.begin(), match.values.begin() + pattern.operands);
    const int mutations = mutations_[match.root()];
    const Binding binding = BindCall(*call.op, OperandTypes(graph_, call), call.attrs);
    call.attrs = binding.attrs;
    made_.push_back(std::move(call));
    if (const Node* same = calls_.FindOrAdd(made_.back(), mutations)) {
      made_.pop_back();
      return same->outputs;
    }
    ValueIds& outputs = made_.back().outputs;
    for (size_t i = 0; i < binding.results.size(); ++i) {
      const ValueId value = match.values[pattern.outputs[i]];
      const bool viewed = !match.views[pattern.makers[pattern.outputs[i]]].empty();
      const bool own = !viewed && !IsTaken(value);
      outputs.push_back(own ? value : Fresh(value, binding.results[i]));
      if (own) Take(value);
    }
    inserted_[match.root()].push_back(made_.back());
    return outputs;
  }

  // Makes `value` of the graph the views of `result`.
  void Give(ValueId result, ValueId value, const std::vector<int32_t>& views, int32_t at) {
    if (result == value || IsTaken(value)) return;
    Take(value);
    if (views.empty()) return replaced_.Set(value, result);
    for (size_t i = 0; i < views.size(); ++i) {
      const Node& view = original_.nodes[views[i]];
      Node node;
      node.op = view.op;
      node.attrs = *ReplayAttrs(original_, view, graph_.TypeOf(result));
      node.inputs = {result};
      const Shape& shape = graph_.TypeOf(result).shape;
      const Type type{graph_.TypeOf(result).dtype,
                      view.op->view()(shape, nullptr, node.attrs).shape};
      result = i + 1 == views.size() ? value : Fresh(value, type);
      node.outputs = {result};
      inserted_[at].push_back(std::move(node));
    }
  }

  const Graph& original_;
  Graph graph_;
  std::vector<int> mutations_;               // before each node of the original
  std::vector<std::vector<Node>> inserted_;  // behind each node of the original
  std::vector<bool> taken_;                  // values that no original node makes any more
  std::deque<Node> made_;                    // fused calls; they stay where they are
  EqualCalls calls_;                         // of made_
  Replacements replaced_;
};

std::optional<Graph> Rewritten(const Graph& graph, std::span<const Match* const> matches) {
  Rewriter rewriter(graph);
  for (const Match* match : matches) rewriter.Apply(*match);
  try {
    return rewriter.Finish();
  } catch (const GraphError&) {
    return std::nullopt;  // each match is acyclic alone, but these need each other
  }
}

// How many of `more` can be fused together with `chosen`. What some need of each other, more need
// as well, so the end is found by halving.
size_t CountCompatible(const Graph& graph, std::vector<const Match*> chosen,
                       std::span<const Match* const> more) {
  const size_t before = chosen.size();
  size_t low = 0, high = more.size();
  while (low < high) {
    const size_t middle = (low + high + 1) / 2;
    chosen.resize(before);
    chosen.insert(chosen.end(), more.begin(), more.begin() + middle);
    if (Rewritten(graph, chosen)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// One after the other, as far as they do not need each other.
std::vector<const Match*> Compatible(const Graph& graph, const Matcher& matcher,
                                     std::span<const Match* const> matches,
                                     std::vector<Miss>* misses) {
  std::vector<const Match*> chosen;
  while (!matches.empty()) {
    const size_t count = CountCompatible(graph, chosen, matches);
    chosen.insert(chosen.end(), matches.begin(), matches.begin() + count);
    matches = matches.subspan(count);
    if (matches.empty()) break;
    const Match& refused = *matches.front();
    misses->push_back({refused.rule->op->name(), matcher.Label(refused.root()), "order",
                       "another fusion needs this one's results, and this one needs its results",
                       SavedBytes(graph, refused)});
    matches = matches.subspan(1);
  }
  return chosen;
}

// Fuses what can be fused together, as far as there is fuel.
Graph Fuse(const Graph& graph, const Matcher& matcher, const std::vector<Match>& matches,
           Report& report) {
  std::vector<const Match*> chosen;
  for (const Match& match : matches) chosen.push_back(&match);
  std::optional<Graph> fused = Rewritten(graph, chosen);
  if (!fused) chosen = Compatible(graph, matcher, chosen, &report.misses);
  const auto unpaid = std::erase_if(chosen, [&](const Match* match) {
    return !report.rewrites.Take(match->rule->op->name(), matcher.Label(match->root()));
  });
  if (!fused || unpaid > 0) fused = Rewritten(graph, chosen);
  return *std::move(fused);
}

}  // namespace

std::vector<const Rule*> Ordered(std::span<const Rule> some, std::span<const Rule> others) {
  std::vector<const Rule*> rules;
  for (const Rule& rule : some) rules.push_back(&rule);
  for (const Rule& rule : others) rules.push_back(&rule);
  std::ranges::stable_sort(rules, [](const Rule* a, const Rule* b) { return ComesFirst(*a, *b); });
  return rules;
}

void ApplyRules(Graph& graph, const Target& target, std::span<const Rule* const> rules,
                Report& report) {
  Graph plain = graph;
  DropDeadNodes(plain);  // what nobody reads neither fuses nor stands in the way
  ExpandCalls(plain, [](const Op& op) { return !op.equals().empty(); }, report.rewrites);
  const bool apart = !report.rewrites.made().empty();
  if (apart) ShareEqualCalls(plain);
  const Matcher matcher(plain);
  Selection selection = SelectSites(matcher, target, rules);
  report.looked_at += matcher.looked_at();
  report.misses = std::move(selection.misses);
  if (selection.chosen.empty() && report.rewrites.made().empty()) return;
  Graph fused = Fuse(plain, matcher, selection.chosen, report);
  if (report.rewrites.made().empty()) return;
  // What was fused already has been taken apart and put together again.
  if (apart && GraphKey(fused).uuid() == GraphKey(graph).uuid()) return report.rewrites.Cancel();
  ShareEqualCalls(fused);  // views taken again of one result
  graph = std::move(fused);
  Compact(graph);
}

}  // namespace fusible
