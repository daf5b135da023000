// What fusions look for, as plain data.
#include <pybind11/stl.h>

#include <tuple>

#include "bindings/attributes.h"
#include "bindings/bind.h"
#include "core/cat.h"
#include "core/error.h"
#include "ir/given_rule.h"
#include "passes/support.h"

namespace fusible {
namespace {

std::string TextOf(const AttrPattern& attr) {
  if (const auto* bound = std::get_if<BoundAttr>(&attr)) return bound->name;
  const auto* value = std::get_if<AttrValue>(&attr);
  return value ? ToText(*value) : "none";
}

std::vector<std::pair<std::string, std::string>> AttrsOf(const PatternNode& node) {
  std::vector<std::pair<std::string, std::string>> attrs;
  for (const auto& [name, attr] : node.attrs) attrs.emplace_back(name, TextOf(attr));
  return attrs;
}

// Operands and results of the fused operator have its names, values inside those of their makers.
std::vector<std::string> ValuesOf(const Rule& rule) {
  std::vector<std::string> names(rule.pattern.makers.size());
  const Signature& signature = rule.op->signature();
  for (size_t i = 0; i < signature.params.size(); ++i) names[i] = signature.params[i].name;
  for (const PatternNode& node : rule.pattern.nodes) {
    for (size_t i = 0; i < node.results.size(); ++i) {
      names[node.results[i]] = node.op->signature().results[i].name;
    }
  }
  for (size_t i = 0; i < rule.pattern.outputs.size(); ++i) {
    names[rule.pattern.outputs[i]] = signature.results[i].name;
  }
  return names;
}

std::optional<std::pair<std::string, std::string>> LackOf(const Rule& rule, const Target& target) {
  const auto lack = FindLack(target, rule);
  return lack ? std::optional(std::pair(lack->reason, lack->hint)) : std::nullopt;
}

py::dict LimitsOf(const Rule& rule, const Target& target) {
  py::dict limits;
  for (const auto& [attr, values] : FindLimits(target, rule)) {
    py::list list;
    for (const AttrValue& value : values) list.append(ToPython(value));
    limits[py::str(attr)] = list;
  }
  return limits;
}

// Type and size of everything that a call binds, and its attributes, by name.
std::tuple<py::dict, py::dict, py::dict> BoundBy(const Op& op, const Predicate::Operands& operands,
                                                 const Binding& call) {
  py::dict types, sizes, attrs;
  const auto& params = op.signature().params;
  for (size_t i = 0; i < params.size(); ++i) {
    const bool given = i < operands.size() && operands[i];
    types[py::str(params[i].name)] = given ? py::object(py::str(Cat(*operands[i]))) : py::none();
  }
  for (size_t i = 0; i < call.results.size(); ++i) {
    types[py::str(op.signature().results[i].name)] = Cat(call.results[i]);
  }
  for (const auto& [letter, dim] : call.dims) {
    sizes[py::str(letter)] =
        dim.IsConstant() ? py::object(py::int_(dim.offset)) : py::object(py::str(Cat(dim)));
  }
  for (const auto& [name, value] : call.attrs) attrs[py::str(name)] = ToPython(value);
  return {types, sizes, attrs};
}

// A predicate in Python; passes run without the interpreter's lock.
Predicate MakePredicate(const std::string& name, const std::string& version,
                        const py::object& test) {
  return {name, version,
          [test](const Op& op, const Predicate::Operands& operands, const Binding& call) {
            const py::gil_scoped_acquire lock;
            const auto [types, sizes, attrs] = BoundBy(op, operands, call);
            return test(types, sizes, attrs).cast<std::string>();
          }};
}

std::optional<EscapePolicy> ReadEscape(const std::optional<std::string>& policy) {
  if (!policy) return std::nullopt;
  if (*policy == "refuse") return EscapePolicy{.recompute = false, .keep = false};
  if (*policy == "recompute") return EscapePolicy{.recompute = true, .keep = false};
  if (*policy == "keep") return EscapePolicy{.recompute = true, .keep = true};
  throw ArgumentError(Cat("on_escape: expected refuse, recompute or keep, got ", *policy));
}

std::vector<Rule> MakeGiven(
    const std::string& signature, const std::vector<std::string>& find, const std::string& replace,
    const std::vector<std::string>& via, const std::optional<std::string>& on_escape, int each,
    const std::vector<std::string>& where,
    const std::optional<std::tuple<std::string, std::string, py::object>>& predicate) {
  RuleText text{.signature = signature,
                .find = find,
                .replace = replace,
                .via = via,
                .escape = ReadEscape(on_escape),
                .each = each,
                .conditions = where,
                .predicate = std::nullopt};
  if (predicate) text.predicate = std::apply(MakePredicate, *predicate);
  return MakeRules(text);
}

std::vector<const Rule*> Rules() {
  std::vector<const Rule*> rules;
  for (const Rule& rule : AllRules()) rules.push_back(&rule);
  return rules;
}

}  // namespace

void BindPatterns(py::module_& m) {
  py::class_<PatternNode>(m, "PatternCall", "A call that a rule looks for; values are numbers.")
      .def_property_readonly("op", [](const PatternNode& node) { return node.op->name(); })
      .def_property_readonly("commutes",
                             [](const PatternNode& node) { return node.op->commutes(); })
      .def_readonly("operands", &PatternNode::operands)
      .def_readonly("results", &PatternNode::results)
      .def_property_readonly("attrs", &AttrsOf,
                             "Name and text of each: a value, none, or the fused call's own.");
  py::class_<Rule>(m, "Rule", "Finds a pattern of calls and puts one call in their place.")
      .def_property_readonly("name", [](const Rule& rule) { return rule.op->name(); })
      .def_property_readonly("signature",
                             [](const Rule& rule) { return rule.op->signature().text; })
      .def_property_readonly("calls", [](const Rule& rule) { return rule.pattern.nodes; })
      .def_property_readonly("values", &ValuesOf)
      .def_property_readonly("makers", [](const Rule& rule) { return rule.pattern.makers; })
      .def_property_readonly("outputs", [](const Rule& rule) { return rule.pattern.outputs; })
      .def_readonly("via", &Rule::via)
      .def_property_readonly("given", &Rule::given, "Whether it is a rule of one's own.")
      .def_property_readonly(
          "contract", [](const Rule& rule) { return GivenContract(rule); },
          "The structure of a given rule: what stands for it in keys.")
      .def("is_rows", &IsRowRule, "Whether all its calls are row operators.")
      .def("lack", &LackOf, py::arg("target"),
           "Reason and hint where the target has no call of it, whatever the graph.")
      .def("limits", &LimitsOf, py::arg("target"),
           "The values that the target has of the attributes that it does not take all of.");
  m.def("make_rules", &MakeGiven, py::kw_only(), py::arg("signature"), py::arg("find"),
        py::arg("replace"), py::arg("via"), py::arg("on_escape"), py::arg("each"), py::arg("where"),
        py::arg("predicate"), "A rule for each text to find, all with one replacement.");
  m.def("rules", &Rules, py::return_value_policy::reference,
        "The rules of all operators that equal others, larger ones first.");
}

}  // namespace fusible
