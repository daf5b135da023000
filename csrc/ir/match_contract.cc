#include "ir/match_contract.h"

#include <algorithm>

#include "core/cat.h"
#include "core/error.h"
#include "ir/given_rule.h"
#include "ir/views.h"

namespace fusible {
namespace {

// What the fused call's result becomes behind the views; nullopt where a view cannot be repeated.
std::optional<Type> Replayed(const Graph& graph, const std::vector<int32_t>& views, Type type) {
  for (int32_t view : views) {
    const Node& node = graph.nodes[view];
    const auto attrs = ReplayAttrs(graph, node, type);
    if (!attrs) return std::nullopt;
    type.shape = node.op->view()(type.shape, nullptr, *attrs).shape;
  }
  return type;
}

// Every result must have, behind the views, the type it has in the graph.
void CheckResults(const Graph& graph, const Binding& binding, Match* match) {
  const Op& op = *match->rule->op;
  const Pattern& pattern = match->rule->pattern;
  for (size_t i = 0; i < binding.results.size(); ++i) {
    const int output = pattern.outputs[i];
    const Type& actual = graph.TypeOf(match->values[output]);
    const auto& views = match->views[pattern.makers[output]];
    const auto result = Replayed(graph, views, binding.results[i]);
    if (!result) {
      match->obstacles.push_back(
          {"leading_dims", views[0], "give the view at most one size that only the call knows"});
    } else if (!(*result == actual)) {
      match->obstacles.push_back({result->dtype != actual.dtype ? "dtype" : "shape", match->root(),
                                  Cat(op.name(), ": ", op.signature().results[i].name,
                                      ": expected ", *result, ", got ", actual)});
    }
  }
}

// A transpose that is taken again of the results moves no data by itself. Whoever needs them in
// order does: the graph's caller, or a reshape.
void CheckMoves(const Matcher& matcher, Match* match) {
  const Graph& graph = matcher.graph();
  const Pattern& pattern = match->rule->pattern;
  const auto is_named = [&](int32_t node, std::string_view name) {
    return graph.nodes[node].op && graph.nodes[node].op->name() == name;
  };
  for (int output : pattern.outputs) {
    const ValueId value = match->values[output];
    for (int32_t view : match->views[pattern.makers[output]]) {
      if (!is_named(view, "transpose")) continue;
      const bool moves =
          matcher.IsResult(value) || std::ranges::any_of(matcher.users(value), [&](int32_t user) {
            return is_named(user, "reshape");
          });
      if (!moves) continue;
      match->obstacles.push_back(
          {"moves_data", view,
           Cat("give ", graph.values[value].name, " to calls alone: behind the transpose ",
               matcher.Label(view), " it would be copied into order")});
      return;
    }
  }
}

}  // namespace

void CheckContract(const Matcher& matcher, Match* match) {
  const Graph& graph = matcher.graph();
  std::vector<std::optional<Type>> operands;
  for (int i = 0; i < match->rule->pattern.operands; ++i) {
    const ValueId value = match->values[i];
    operands.push_back(value == kAbsent ? std::nullopt : std::optional(graph.TypeOf(value)));
  }
  const auto refuse = [match](std::string_view reason, const Error& error) {
    match->obstacles.push_back({std::string(reason), match->root(), error.what()});
  };
  try {
    const Binding call = BindCall(*match->rule->op, operands, match->attrs);
    CheckResults(graph, call, match);
    if (!match->obstacles.empty()) return;
    const auto refusal = FindRefusal(*match->rule, operands, call);
    if (refusal) match->obstacles.push_back({refusal->reason, match->root(), refusal->hint});
    CheckMoves(matcher, match);
  } catch (const DTypeError& error) {
    refuse("dtype", error);
  } catch (const ArgumentError& error) {
    refuse("attr", error);
  } catch (const ShapeError& error) {
    refuse("shape", error);
  }
}

}  // namespace fusible
