#include "ir/match.h"

#include <algorithm>

#include "core/cat.h"
#include "core/error.h"
#include "ir/match_contract.h"
#include "ir/rows.h"
#include "ir/views.h"

namespace fusible {
namespace {

constexpr ValueId kUnbound = -2;

// A use of a pattern value that is still to be compared with the graph.
struct Pending {
  int value;       // of the pattern
  ValueId actual;  // of the graph
  int consumer;    // pattern node
  int operand;     // of the consumer
};

// What a partial assignment has bound so far.
struct State {
  std::vector<int32_t> nodes;
  std::vector<ValueId> values;
  Attrs attrs;
  std::vector<std::string> absent;  // optional attributes bound to "not given"
  struct Edge {
    int maker, consumer;
    std::vector<int32_t> views;
  };
  std::vector<Edge> edges;
  std::vector<Obstacle> obstacles;
  std::vector<Pending> pending;
};

int Trailing(const TypeSpec& spec) { return static_cast<int>(spec.dims.size()); }

std::string AttrText(const AttrValue* value) { return value ? ToText(*value) : "absent"; }

// Depth-first search over the assignments: the only choice is the order of commuting operands.
class Search {
 public:
  Search(const Matcher& matcher, const Rule& rule)
      : matcher_(matcher), graph_(matcher.graph()), rule_(rule), pattern_(rule.pattern) {}

  std::optional<State> Run(int32_t root) {
    if (graph_.nodes[root].op != pattern_.nodes.back().op) return std::nullopt;
    State state;
    state.nodes.assign(pattern_.nodes.size(), -1);
    state.values.assign(pattern_.makers.size(), kUnbound);
    Enter(static_cast<int>(pattern_.nodes.size()) - 1, root, std::move(state));
    return std::move(best_);
  }

 private:
  // Binds a pattern node to a graph node and goes on with its operands, in each order that is
  // allowed.
  void Enter(int pattern_node, int32_t node, State state) {
    matcher_.Look();
    const PatternNode& wanted = pattern_.nodes[pattern_node];
    const Node& actual = graph_.nodes[node];
    state.nodes[pattern_node] = node;
    for (size_t i = 0; i < wanted.results.size(); ++i) {
      state.values[wanted.results[i]] = actual.outputs[i];
    }
    for (const auto& [name, attr] : wanted.attrs) CompareAttr(node, name, attr, &state);
    const bool swaps = wanted.op->commutes() && actual.inputs[0] != kAbsent &&
                       actual.inputs[1] != kAbsent && actual.inputs[0] != actual.inputs[1];
    if (swaps) EnterOperands(pattern_node, actual, state, false);
    EnterOperands(pattern_node, actual, std::move(state), swaps);
  }

  // swap: the first two operands stand for each other.
  void EnterOperands(int pattern_node, const Node& actual, State state, bool swap) {
    const PatternNode& wanted = pattern_.nodes[pattern_node];
    for (size_t i = actual.inputs.size(); i-- > 0;) {
      const size_t from = swap && i < 2 ? 1 - i : i;
      state.pending.push_back(
          {wanted.operands[i], actual.inputs[from], pattern_node, static_cast<int>(i)});
    }
    Continue(std::move(state));
  }

  void Continue(State state) {
    while (!state.pending.empty()) {
      const Pending next = state.pending.back();
      state.pending.pop_back();
      if (next.value < 0) {
        if (next.actual != kAbsent) return;
      } else if (pattern_.makers[next.value] < 0) {
        if (!BindOperand(next, &state)) return;
      } else {
        const auto maker = FollowViews(next, &state);
        if (!maker) return;
        if (*maker >= 0) return Enter(pattern_.makers[next.value], *maker, std::move(state));
      }
    }
    if (!best_ || state.obstacles.size() < best_->obstacles.size()) best_ = std::move(state);
  }

  bool BindOperand(const Pending& use, State* state) const {
    ValueId& bound = state->values[use.value];
    if (bound != kUnbound) return bound == use.actual;
    bound = use.actual;
    if (use.actual == kAbsent && !rule_.op->signature().params[use.value].optional) {
      const int32_t node = state->nodes[use.consumer];
      const Op& op = *graph_.nodes[node].op;
      state->obstacles.push_back({"attr", node,
                                  Cat("give ", op.signature().params[use.operand].name, " of ",
                                      op.name(), ", which ", rule_.op->name(), " needs")});
    }
    return true;
  }

  // The node that makes the value, looking through views; -1 where it is bound already, as it
  // should be.
  std::optional<int32_t> FollowViews(const Pending& use, State* state) const {
    if (use.actual == kAbsent) return std::nullopt;
    const int maker = pattern_.makers[use.value];
    const PatternNode& wanted = pattern_.nodes[maker];
    State::Edge edge{.maker = maker, .consumer = use.consumer, .views = {}};
    ValueId value = use.actual;
    int32_t node = matcher_.producer(value);
    while (node >= 0 && graph_.nodes[node].op != wanted.op) {
      matcher_.Look();
      if (IsCast(graph_.nodes[node])) {
        RefuseCast(node, wanted.op->name(), pattern_.nodes[use.consumer].op->name(), state);
      } else if (IsCrossable(graph_.nodes[node])) {
        edge.views.insert(edge.views.begin(), node);
      } else {
        return std::nullopt;
      }
      value = graph_.nodes[node].inputs[0];
      node = matcher_.producer(value);
    }
    if (node < 0) return std::nullopt;
    const int result =
        static_cast<int>(std::ranges::find(wanted.results, use.value) - wanted.results.begin());
    if (graph_.nodes[node].outputs[result] != value) return std::nullopt;
    CheckViews(edge.views, use, result, state);
    state->edges.push_back(edge);
    if (state->nodes[maker] >= 0)
      return state->nodes[maker] == node ? std::optional(-1) : std::nullopt;
    if (std::ranges::count(state->nodes, node)) return std::nullopt;  // injective
    return node;
  }

  bool IsCrossable(const Node& node) const {
    return IsView(node) && std::ranges::count(rule_.via, node.op->name()) > 0;
  }

  static bool IsCast(const Node& node) { return node.op && node.op->name() == "cast"; }

  // A cast between two calls that would fuse is what mixed dtypes come down to in a graph.
  void RefuseCast(int32_t node, const std::string& maker, const std::string& consumer,
                  State* state) const {
    const Node& cast = graph_.nodes[node];
    const DType from = graph_.TypeOf(cast.inputs[0]).dtype;
    const DType to = graph_.TypeOf(cast.outputs[0]).dtype;
    state->obstacles.push_back(
        {"dtype", node,
         Cat("take out the cast from ", Name(from), " to ", Name(to), " between ", maker, " and ",
             consumer, ", which ", rule_.op->name(), " does not have")});
  }

  void CheckViews(const std::vector<int32_t>& views, const Pending& use, int result,
                  State* state) const {
    const Signature& maker = pattern_.nodes[pattern_.makers[use.value]].op->signature();
    const Signature& consumer = pattern_.nodes[use.consumer].op->signature();
    const int trailing =
        std::max(Trailing(maker.results[result].type), Trailing(consumer.params[use.operand].type));
    for (int32_t view : views) {
      if (KeepsTrailing(graph_, graph_.nodes[view], trailing)) continue;
      const Shape& before = graph_.TypeOf(graph_.nodes[view].inputs[0]).shape;
      const Shape& after = graph_.TypeOf(graph_.nodes[view].outputs[0]).shape;
      state->obstacles.push_back(
          {"view_splits_last_dim", view,
           Cat("keep the last dimension whole between ", maker.name, " and ", consumer.name, ": ",
               graph_.nodes[view].op->name(), " makes ", before, " into ", after)});
    }
  }

  void CompareAttr(int32_t node, const std::string& name, const AttrPattern& wanted,
                   State* state) const {
    const AttrValue* actual = graph_.nodes[node].attrs.Find(name);
    if (const auto* value = std::get_if<AttrValue>(&wanted)) {
      if (!actual || *actual != *value) Differs(node, name, AttrText(value), state);
    } else if (const auto* bound = std::get_if<BoundAttr>(&wanted)) {
      BindAttr(node, name, bound->name, actual, state);
    } else if (actual) {
      Differs(node, name, "absent", state);
    }
  }

  void BindAttr(int32_t node, const std::string& name, const std::string& bound,
                const AttrValue* actual, State* state) const {
    const AttrValue* before = state->attrs.Find(bound);
    const bool absent = std::ranges::count(state->absent, bound) > 0;
    if (!before && !absent) {
      if (actual) {
        state->attrs.Set(bound, *actual);
      } else {
        state->absent.push_back(bound);
      }
    } else if (absent ? actual != nullptr : !actual || *actual != *before) {
      Differs(node, name, AttrText(before), state);
    }
  }

  void Differs(int32_t node, const std::string& name, const std::string& wanted,
               State* state) const {
    const Op& op = *graph_.nodes[node].op;
    const bool variant = op.signature().FindAttr(name)->variant;
    state->obstacles.push_back({variant ? "op_variant" : "attr", node,
                                Cat("set ", name, " of ", op.name(), " to ", wanted, ", not ",
                                    AttrText(graph_.nodes[node].attrs.Find(name)))});
  }

  const Matcher& matcher_;
  const Graph& graph_;
  const Rule& rule_;
  const Pattern& pattern_;
  std::optional<State> best_;
};

// The views of each pattern node, from the edges of the assignment. Every operand of a node must
// have come the same way: the fused operator has one shape of rows.
void SetViews(const Graph& graph, const State& state, Match* match) {
  const Pattern& pattern = match->rule->pattern;
  match->views.resize(pattern.nodes.size());
  std::vector<bool> known(pattern.nodes.size(), false);
  for (size_t i = 0; i < pattern.nodes.size(); ++i) {
    for (const State::Edge& edge : state.edges) {
      if (edge.consumer != static_cast<int>(i)) continue;
      std::vector<int32_t> views = match->views[edge.maker];
      views.insert(views.end(), edge.views.begin(), edge.views.end());
      if (known[i] && views != match->views[i]) {
        match->obstacles.push_back(
            {"leading_dims", match->nodes[i], "bring all operands to the same leading dimensions"});
      }
      match->views[i] = views;
      known[i] = true;
    }
    if (match->views[i].empty()) continue;
    for (size_t k = 0; k < pattern.nodes[i].operands.size(); ++k) {
      const int value = pattern.nodes[i].operands[k];
      const bool outer = value >= 0 && pattern.makers[value] < 0 && match->values[value] != kAbsent;
      if (!outer || !pattern.nodes[i].op->signature().params[k].type.leading) continue;
      match->obstacles.push_back(
          {"leading_dims", match->nodes[i],
           Cat("take the view behind ", NodeName(graph.nodes[match->nodes[i]]),
               ": its other operands are not seen through it")});
    }
  }
}

bool IsInside(const Match& match, int32_t node) {
  return match.Contains(node) || match.LooksThrough(node);
}

// A node outside the match that needs what the match gives, and that the match needs; else -1.
int32_t FindDetour(const Matcher& matcher, const Match& match) {
  std::vector<int32_t> stack = match.nodes;
  const int32_t first = std::ranges::min(match.nodes);
  std::vector<bool> seen(match.root() + 1 - first, false);  // from the first node on
  while (!stack.empty()) {
    const int32_t node = stack.back();
    stack.pop_back();
    for (ValueId output : matcher.graph().nodes[node].outputs) {
      for (int32_t user : matcher.users(output)) {
        matcher.Look();
        if (user > match.root()) continue;
        if (IsInside(match, user) && !IsInside(match, node)) return node;
        if (seen[user - first]) continue;
        seen[user - first] = true;
        stack.push_back(user);
      }
    }
  }
  return -1;
}

// The fused call stands where the root is: nothing it reads may need what it gives, and no opaque
// node that mutates may lie between its parts.
void CheckOrder(const Matcher& matcher, Match* match) {
  for (int32_t node : match->nodes) {
    if (matcher.mutations_before(node) == matcher.mutations_before(match->root())) continue;
    match->obstacles.push_back({"order", node, "move the mutation before or behind all parts"});
    return;
  }
  for (int i = 0; i < match->rule->pattern.operands; ++i) {
    if (match->values[i] == kAbsent) continue;
    const int32_t maker = matcher.producer(match->values[i]);
    if (maker < 0 || !IsInside(*match, maker)) continue;
    match->obstacles.push_back({"order", maker, "an operand is made by what would be fused"});
    return;
  }
  const int32_t detour = FindDetour(matcher, *match);
  if (detour < 0) return;
  match->obstacles.push_back(
      {"order", detour, "make this node independent of what would be fused"});
}

}  // namespace

bool Match::Contains(int32_t node) const { return std::ranges::count(nodes, node) > 0; }

bool Match::LooksThrough(int32_t view) const {
  return std::ranges::any_of(
      views, [view](const auto& list) { return std::ranges::count(list, view) > 0; });
}

bool Match::Gives(ValueId value) const {
  return std::ranges::any_of(rule->pattern.outputs,
                             [&](int output) { return values[output] == value; });
}

Matcher::Matcher(const Graph& graph)
    : graph_(graph),
      users_(graph),
      producers_(Producers(graph)),
      results_(graph.values.size(), false) {
  for (ValueId output : graph.outputs) results_[output] = true;
  int mutations = 0;
  for (const Node& node : graph.nodes) {
    mutations_.push_back(mutations);
    mutations += node.mutates;
  }
}

std::optional<Match> Matcher::At(const Rule& rule, int32_t root) const {
  Look();
  auto state = Search(*this, rule).Run(root);
  if (!state) return std::nullopt;
  Match match;
  match.rule = &rule;
  match.nodes = std::move(state->nodes);
  match.values = std::move(state->values);
  match.attrs = std::move(state->attrs);
  match.obstacles = std::move(state->obstacles);
  SetViews(graph_, *state, &match);
  if (match.obstacles.empty()) CheckContract(*this, &match);
  if (match.obstacles.empty()) CheckOrder(*this, &match);
  return match;
}

std::string Matcher::Label(int32_t node) const { return LabelOf(graph_, graph_.nodes[node]); }

}  // namespace fusible
