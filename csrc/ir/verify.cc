#include "ir/verify.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "ir/infer.h"
#include "ir/updates.h"
#include "ir/value_names.h"
#include "ir/verify_rules.h"

namespace fusible {
namespace {

void CheckValueIds(const Subject& s) {
  const auto unknown = [&](ValueId id) { return !s.Known(id); };
  for (const Input& input : s.graph.inputs) {
    if (unknown(input.value)) s.Report("inputs", "expected a value, got number ", input.value);
  }
  for (const Node& node : s.graph.nodes) {
    for (ValueId id : node.inputs) {
      if (id != kAbsent && unknown(id)) s.Report(node, "expected an operand, got number ", id);
    }
    for (ValueId id : node.outputs) {
      if (unknown(id)) s.Report(node, "expected a result, got number ", id);
    }
  }
  for (ValueId id : s.graph.outputs) {
    if (unknown(id)) s.Report("outputs", "expected a value, got number ", id);
  }
}

void CheckOneKind(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    const int kinds = (node.op != nullptr) + !node.opaque.empty() + (node.region != nullptr);
    if (kinds != 1) s.Report(node, "expected one of operator, opaque and region, got ", kinds);
    if (node.mutates && node.opaque.empty()) s.Report(node, "expected an opaque node that mutates");
    if (node.region && !node.attrs.empty()) s.Report(node, "expected a region without attributes");
  }
}

void CheckInputsDistinct(const Subject& s) {
  std::vector<bool> seen(s.graph.values.size());
  for (const Input& input : s.graph.inputs) {
    if (seen[input.value]) {
      s.Report(s.NameOf(input.value), "expected an input once, got it again");
    }
    seen[input.value] = true;
  }
}

void CheckSingleDefinition(const Subject& s) {
  std::vector<bool> made(s.graph.values.size());
  for (const Input& input : s.graph.inputs) made[input.value] = true;
  for (const Node& node : s.graph.nodes) {
    for (ValueId output : node.outputs) {
      if (made[output])
        s.Report(s.NameOf(output), "expected a value that is made once, got it again");
      made[output] = true;
    }
  }
}

void CheckDefinedBeforeUse(const Subject& s) {
  std::vector<bool> made(s.graph.values.size());
  for (const Input& input : s.graph.inputs) made[input.value] = true;
  for (const Node& node : s.graph.nodes) {
    for (ValueId input : node.inputs) {
      if (input != kAbsent && !made[input]) {
        s.Report(node, "expected operands made above it, got ", s.NameOf(input));
      }
    }
    for (ValueId output : node.outputs) made[output] = true;
  }
}

void CheckOutputsDefined(const Subject& s) {
  std::vector<bool> made(s.graph.values.size());
  for (const Input& input : s.graph.inputs) made[input.value] = true;
  for (const Node& node : s.graph.nodes) {
    for (ValueId output : node.outputs) made[output] = true;
  }
  for (ValueId output : s.graph.outputs) {
    if (!made[output]) {
      s.Report(s.NameOf(output), "expected an output that is an input or a node's result");
    }
  }
}

void CheckUniqueNames(const Subject& s) {
  ValueNames seen(s.graph.values, s.graph.values.size());
  const auto check = [&](ValueId id) {
    const std::string& name = s.NameOf(id);
    if (!IsValueName(name)) s.Report(name, "expected a name such as `x`, got `", name, "`");
    if (!seen.Insert(id)) s.Report(name, "expected a name of its own, got it again");
  };
  for (const Input& input : s.graph.inputs) check(input.value);
  for (const Node& node : s.graph.nodes) {
    std::for_each(node.outputs.begin(), node.outputs.end(), check);
  }
}

void CheckSizes(const Subject& s) {
  std::vector<bool> legal(s.graph.types.size());
  const auto check = [&](ValueId id) {
    if (legal[s.graph.values[id].type]) return;
    const size_t before = s.found.size();
    const Shape& shape = s.graph.TypeOf(id).shape;
    const std::string problem = ShapeProblem(shape);
    if (!problem.empty()) s.Report(s.NameOf(id), problem);
    for (const Dim& dim : shape) {
      if (dim.symbol && !IsValueName(dim.symbol.name())) {
        s.Report(s.NameOf(id), "expected symbols such as T, got `", dim.symbol.name(), "`");
      }
    }
    legal[s.graph.values[id].type] = s.found.size() == before;
  };
  for (const Input& input : s.graph.inputs) check(input.value);
  for (const Node& node : s.graph.nodes) {
    std::for_each(node.outputs.begin(), node.outputs.end(), check);
  }
}

bool HasArity(const Node& node) {
  const Signature& signature = node.op->signature();
  if (node.inputs.size() != signature.params.size()) return false;
  return node.outputs.size() == signature.results.size();
}

void CheckArity(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (!node.op) continue;
    const Signature& signature = node.op->signature();
    if (!HasArity(node)) {
      s.Report(node, NodeName(node), ": expected ", signature.params.size(), " operands and ",
               signature.results.size(), " results, got ", node.inputs.size(), " and ",
               node.outputs.size());
      continue;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] == kAbsent && !signature.params[i].optional) {
        s.Report(node, NodeName(node), ": expected operand ", signature.params[i].name,
                 ", got none");
      }
    }
  }
}

void CheckAttributes(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (!node.op) continue;
    try {
      if (CompleteAttrs(*node.op, node.attrs) == node.attrs) continue;
      s.Report(node, NodeName(node), ": expected every default filled in");
    } catch (const Error& error) {
      s.Report(node, error.what());
    }
  }
}

void CheckTypes(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (!node.op) continue;
    try {
      const std::vector<Type> expected = InferTypes(s.graph, node);
      for (size_t i = 0; i < expected.size(); ++i) {
        const Type& got = s.graph.TypeOf(node.outputs[i]);
        if (got == expected[i]) continue;
        s.Report(s.NameOf(node.outputs[i]), NodeName(node), ": expected ", expected[i], ", got ",
                 got);
      }
    } catch (const Error& error) {
      s.Report(node, error.what());
    }
  }
}

void CheckOpaque(const Subject& s) {
  for (const Node& node : s.graph.nodes) {
    if (node.opaque.empty()) continue;
    for (const auto& [name, value] : node.attrs) {
      if (name == "name" || name == "mutates") {
        s.Report(node, "opaque: expected another name for attribute ", name);
      } else if (!IsValueName(name)) {
        s.Report(node, "opaque: expected the name of an attribute, got `", name, "`");
      }
    }
  }
}

// "a, b and c" of the results with these numbers.
std::string ResultsText(const Graph& graph, const std::vector<int>& results) {
  std::string text;
  for (size_t i = 0; i < results.size(); ++i) {
    const bool last = i + 1 == results.size();
    text += Cat(i == 0 ? "" : last ? " and " : ", ", graph.values[graph.outputs[results[i]]].name);
  }
  return text;
}

void CheckNewValue(const Subject& s, const Input& input) {
  const bool in_range = input.new_value < std::ssize(s.graph.outputs);
  if (input.kind != InputKind::kUpdated || !in_range) {
    s.Report(s.NameOf(input.value), "expected a result as new value of an updated input, got ",
             in_range ? "another input" : "none");
    return;
  }
  const ValueId result = s.graph.outputs[input.new_value];
  if (s.graph.TypeOf(result) == s.graph.TypeOf(input.value)) return;
  s.Report(s.NameOf(input.value), "expected a new value of type ", s.graph.TypeOf(input.value),
           ", got ", s.NameOf(result), ": ", s.graph.TypeOf(result));
}

void CheckUpdateOnce(const Subject& s) {
  std::unordered_map<int, ValueId> updated;  // by the number of the result
  const auto choices = NewValueChoices(s.graph);
  for (const Input& input : s.graph.inputs) {
    if (input.new_value >= 0) {
      CheckNewValue(s, input);
      const auto [other, is_first] = updated.try_emplace(input.new_value, input.value);
      if (is_first) continue;
      s.Report(s.NameOf(input.value), "expected a new value of its own, got that of ",
               s.NameOf(other->second));
    } else if (input.kind == InputKind::kUpdated && choices.at(input.value).size() > 1) {
      s.Report(s.NameOf(input.value), "expected one new value, got ",
               ResultsText(s.graph, choices.at(input.value)), "; say which: `return y -> ",
               s.NameOf(input.value), "` in text, spec(..., updated=True, new_value=N) in a trace");
    }
  }
}

// What happens after a violation of a rule: the next rules run, or none that relies on this one. A
// rule that is last runs when there is no violation at all, in bodies neither.
enum class Then : uint8_t { kGoOn, kStop, kLast };

struct Rule {
  std::string_view name;
  std::string_view sentence;
  void (*check)(const Subject&);
  Then then = Then::kGoOn;
};

constexpr std::array kRules = {
    Rule{"value-ids", "Everything mentioned is a value of the graph; only operands may be absent.",
         CheckValueIds, Then::kStop},
    Rule{"one-kind", "A node is a call of an operator, an opaque node or a region, and only that.",
         CheckOneKind, Then::kStop},
    Rule{"inputs-distinct", "No value is an input twice.", CheckInputsDistinct},
    Rule{"single-definition", "No value is made twice.", CheckSingleDefinition},
    Rule{"defined-before-use", "An operand is an input, or made by a node above.",
         CheckDefinedBeforeUse},
    Rule{"outputs-defined", "An output is an input or a node's result.", CheckOutputsDefined},
    Rule{"unique-names", "Names are legal, and unique in the graph or the body that they stand in.",
         CheckUniqueNames},
    Rule{"sizes", "No size is negative, and no value has more than 2^58 elements.", CheckSizes},
    Rule{"arity", "A call has the operands and results of the operator's signature.", CheckArity,
         Then::kStop},
    Rule{"attributes", "Attributes are those of the signature, legal, with defaults filled in.",
         CheckAttributes},
    Rule{"types", "Results have the types that the signature infers.", CheckTypes, Then::kStop},
    Rule{"opaque-typed", "An opaque node has legal attributes, none called name or mutates.",
         CheckOpaque},
    Rule{"region-name", "A region is named by an operator, or by several joined by +.",
         CheckRegionName},
    Rule{"region-inputs", "A body's inputs have the names and types of the region's operands.",
         CheckRegionInputs},
    Rule{"region-outputs", "A body's outputs have the types of the region's results.",
         CheckRegionOutputs, Then::kStop},
    Rule{"region-rows", "A region holds row operators and views, nothing else.", CheckRegionRows,
         Then::kStop},
    Rule{"region-prefix", "What a region holds has leading dimensions in common.",
         CheckRegionPrefix},
    Rule{"update-once", "An updated input has one new value, a result of its type, or none.",
         CheckUpdateOnce, Then::kLast},
};

void FindIn(const Graph& graph, const Node* region, std::vector<Violation>& found) {
  const size_t before = found.size();
  for (const Rule& rule : kRules) {
    if (rule.then != Then::kLast) rule.check({graph, region, rule.name, found});
    if (rule.then == Then::kStop && found.size() > before) return;
  }
  for (const Node& node : graph.nodes) {
    if (node.region) FindIn(node.region->body, &node, found);
  }
}

}  // namespace

std::vector<Violation> FindViolations(const Graph& graph) {
  std::vector<Violation> found;
  FindIn(graph, nullptr, found);
  for (const Rule& rule : kRules) {
    if (rule.then == Then::kLast && found.empty()) rule.check({graph, nullptr, rule.name, found});
  }
  return found;
}

void Verify(const Graph& graph, std::string_view where) {
  const std::vector<Violation> found = FindViolations(graph);
  if (found.empty()) return;
  throw GraphError(Cat(where, ": ", found[0].rule, ": ", found[0].node, ": ", found[0].message));
}

std::vector<std::pair<std::string, std::string>> VerifierRules() {
  std::vector<std::pair<std::string, std::string>> rules;
  for (const Rule& rule : kRules) rules.emplace_back(rule.name, rule.sentence);
  return rules;
}

}  // namespace fusible
