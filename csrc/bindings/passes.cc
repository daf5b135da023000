// Targets, pass managers and their results.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings/attributes.h"
#include "bindings/bind.h"
#include "bindings/unlocked.h"
#include "core/cat.h"
#include "core/error.h"
#include "ir/pattern.h"
#include "passes/manager.h"

namespace fusible {
namespace {

std::map<std::string, AttrValue> ReadMap(const py::dict& values, std::string_view what) {
  std::map<std::string, AttrValue> map;
  for (const auto& [key, value] : values) {
    const auto name = key.cast<std::string>();
    map.emplace(name, ReadValue(value, {"target", what, name}));
  }
  return map;
}

// Variants hold names of dtypes as strings in TOML: a name that is a dtype becomes one.
AttrValue ReadVariant(const py::handle& value) {
  AttrValue read = ReadValue(value, {"target", "", "variants"});
  if (const auto* text = std::get_if<std::string>(&read)) {
    if (const auto dtype = FindDType(*text)) return *dtype;
  }
  return read;
}

decltype(Target::variants) ReadVariants(const py::dict& operators) {
  decltype(Target::variants) variants;
  for (const auto& [op, attrs] : operators) {
    for (const auto& [attr, values] : attrs.cast<py::dict>()) {
      auto& list = variants[op.cast<std::string>()][attr.cast<std::string>()];
      for (const py::handle& value : values) list.push_back(ReadVariant(value));
    }
  }
  return variants;
}

Target MakeTarget(const std::string& name, const std::string& pipeline, const std::string& fp8,
                  int64_t scratch_bytes, bool all_operators, const std::set<std::string>& operators,
                  const py::dict& variants, const py::dict& capabilities, const py::dict& costs,
                  const std::map<std::string, std::string>& uncacheable) {
  const auto format = FindDType(fp8);
  if (!format || !InDTypeClass("Q8", *format)) {
    throw ArgumentError(Cat("target: fp8: expected ", DTypesText("Q8"), ", got ", fp8));
  }
  if (scratch_bytes < 1) {
    throw ArgumentError(Cat("target: scratch_bytes: expected 1 or more, got ", scratch_bytes));
  }
  return {.name = name,
          .pipeline = pipeline,
          .fp8 = *format,
          .scratch_bytes = scratch_bytes,
          .all_operators = all_operators,
          .operators = {operators.begin(), operators.end()},
          .variants = ReadVariants(variants),
          .capabilities = ReadMap(capabilities, "capabilities: "),
          .costs = ReadMap(costs, "costs: "),
          .uncacheable = uncacheable};
}

py::object Capability(const Target& target, std::string_view name) {
  const AttrValue* value = target.Capability(name);
  return value ? ToPython(*value) : py::none();
}

py::dict MapOf(const std::map<std::string, AttrValue>& values) {
  py::dict map;
  for (const auto& [name, value] : values) map[py::str(name)] = ToPython(value);
  return map;
}

// What a TOML file of this target holds.
py::dict TableOf(const Target& target) {
  py::dict variants;
  for (const auto& [op, attrs] : target.variants) {
    py::dict lists;
    for (const auto& [attr, values] : attrs) {
      py::list list;
      for (const AttrValue& value : values) list.append(ToPython(value));
      lists[py::str(attr)] = list;
    }
    variants[py::str(op)] = lists;
  }
  py::dict table(py::arg("name") = target.name, py::arg("pipeline") = target.pipeline,
                 py::arg("fp8") = Name(target.fp8), py::arg("scratch_bytes") = target.scratch_bytes,
                 py::arg("all_operators") = target.all_operators);
  if (!target.operators.empty()) table["operators"] = py::cast(target.operators);
  table["variants"] = variants;
  table["capabilities"] = MapOf(target.capabilities);
  table["costs"] = MapOf(target.costs);
  table["uncacheable"] = py::cast(target.uncacheable);
  return table;
}

OptimizeResult MakeResult(const Graph& graph, int before, int after,
                          const std::map<std::string, int>& fusions,
                          const std::vector<Miss>& misses, const std::vector<Choice>& choices,
                          const std::vector<Rewrite>& rewrites, const std::vector<PassStats>& stats,
                          const Key& key) {
  return {.graph = graph,
          .operators_before = before,
          .operators_after = after,
          .fusions = fusions,
          .misses = misses,
          .choices = choices,
          .rewrites = rewrites,
          .stats = stats,
          .key = key};
}

void BindReports(py::module_& m) {
  py::class_<Miss>(m, "Miss", "Why something did not fuse.")
      .def(py::init<std::string, std::string, std::string, std::string, int64_t>(), py::arg("rule"),
           py::arg("node"), py::arg("reason"), py::arg("hint"), py::arg("saves"))
      .def_readonly("rule", &Miss::rule)
      .def_readonly("node", &Miss::node)
      .def_readonly("reason", &Miss::reason)
      .def_readonly("hint", &Miss::hint)
      .def_readonly("saves", &Miss::saves,
                    "Bytes that fusing would neither write nor read, with every symbolic size as "
                    "one: per row, where rows are what is symbolic.")
      .def("__repr__", [](const Miss& miss) {
        return Cat(miss.rule, " at ", miss.node, ": ", miss.reason, " (", miss.hint, ")");
      });
  py::class_<Choice>(m, "Choice", "Which of several ways row operators run together, and why.")
      .def(py::init<std::string, std::string, std::string, int64_t, int64_t>(), py::arg("kind"),
           py::arg("node"), py::arg("hint"), py::arg("bytes"), py::arg("otherwise"))
      .def_readonly("kind", &Choice::kind, "recompute or split.")
      .def_readonly("node", &Choice::node)
      .def_readonly("hint", &Choice::hint)
      .def_readonly("bytes", &Choice::bytes,
                    "Bytes per row that the row operators which could run together read and write.")
      .def_readonly("otherwise", &Choice::otherwise,
                    "The same if the step were written and read back (recompute), or if scratch "
                    "had room for all in one region (split).")
      .def("__repr__", [](const Choice& choice) {
        return Cat(choice.kind, " at ", choice.node, ": ", choice.bytes, " bytes a row instead of ",
                   choice.otherwise, " (", choice.hint, ")");
      });
  py::class_<Rewrite>(m, "Rewrite", "One change of a graph: which pass, by which rule, and where.")
      .def(py::init([](std::string pass, std::string rule, std::string node) {
             return Rewrite{std::move(pass), std::move(rule), std::move(node)};
           }),
           py::arg("pass_name"), py::arg("rule"), py::arg("node"))
      .def_readonly("pass_name", &Rewrite::pass)
      .def_readonly("rule", &Rewrite::rule)
      .def_readonly("node", &Rewrite::node)
      .def("__repr__", [](const Rewrite& rewrite) {
        return Cat(rewrite.pass, ": ", rewrite.rule, " at ", rewrite.node);
      });
}

void BindResult(py::module_& m) {
  py::class_<PassStats>(m, "PassStats", "What one pass did, and in what time.")
      .def(py::init<std::string, int, double, int, int, std::string, int64_t>(), py::arg("name"),
           py::arg("rewrites"), py::arg("ms"), py::arg("nodes_before"), py::arg("nodes_after"),
           py::arg("left_out") = "", py::arg("looked_at") = 0)
      .def_readonly("name", &PassStats::pass)
      .def_readonly("rewrites", &PassStats::rewrites)
      .def_readonly("ms", &PassStats::ms)
      .def_readonly("nodes_before", &PassStats::nodes_before)
      .def_readonly("nodes_after", &PassStats::nodes_after)
      .def_readonly("left_out", &PassStats::left_out,
                    "Why it did not run, as a sentence; empty where it ran.")
      .def_readonly("looked_at", &PassStats::looked_at,
                    "How many nodes were looked at for matches of rules, as often as each was: "
                    "what matching costs, the same on any machine.");
  py::class_<OptimizeResult>(m, "OptimizeResult", "A graph after a pipeline, and what it did.")
      .def(py::init(&MakeResult), py::kw_only(), py::arg("graph"), py::arg("before"),
           py::arg("after"), py::arg("fusions"), py::arg("misses"), py::arg("choices"),
           py::arg("rewrites"), py::arg("stats"), py::arg("key"), "A result whose parts were kept.")
      .def_readonly("graph", &OptimizeResult::graph)
      .def_readonly("before", &OptimizeResult::operators_before)
      .def_readonly("after", &OptimizeResult::operators_after)
      .def_readonly("fusions", &OptimizeResult::fusions)
      .def_readonly("misses", &OptimizeResult::misses)
      .def_readonly("choices", &OptimizeResult::choices)
      .def_readonly("rewrites", &OptimizeResult::rewrites)
      .def_readonly("stats", &OptimizeResult::stats)
      .def_readonly("key", &OptimizeResult::key);
}

using RangePair = std::optional<std::pair<int64_t, int64_t>>;

std::optional<SizeRange> RangeOf(const RangePair& sizes) {
  return sizes ? std::optional(SizeRange{sizes->first, sizes->second}) : std::nullopt;
}

std::vector<std::string> PassesOf(const PassManager& manager) {
  std::vector<std::string> names;
  for (const Stage& stage : manager.pipeline()) {
    for (const PassCall& call : stage.calls) names.emplace_back(call.pass->name());
  }
  return names;
}

}  // namespace

void BindTargets(py::module_& m) {
  py::class_<Target>(m, "Target", "What a graph is fused for; plain data.")
      .def(py::init(&MakeTarget), py::kw_only(), py::arg("name"), py::arg("pipeline"),
           py::arg("fp8") = "e4m3fn", py::arg("scratch_bytes") = 256 << 10,
           py::arg("all_operators") = false, py::arg("operators") = std::set<std::string>(),
           py::arg("variants") = py::dict(), py::arg("capabilities") = py::dict(),
           py::arg("costs") = py::dict(),
           py::arg("uncacheable") = std::map<std::string, std::string>())
      .def_readonly("name", &Target::name)
      .def_readonly("pipeline", &Target::pipeline)
      .def_property_readonly("fp8", [](const Target& t) { return Name(t.fp8); })
      .def_readonly("scratch_bytes", &Target::scratch_bytes)
      .def(
          "has", [](const Target& t, std::string_view op) { return t.Has(op); }, py::arg("op"))
      .def("capability", &Capability, py::arg("name"),
           "Its value; None for one that the target does not state. Never raises.")
      .def("table", &TableOf, "What a TOML file of this target holds.")
      .def("__str__", &Target::ToText);
}

void BindPasses(py::module_& m) {
  BindReports(m);
  BindResult(m);
  py::class_<PassManager>(m, "PassManager", "Runs a pipeline of passes for a target.")
      .def(py::init<std::string_view, Target, std::vector<Rule>>(), py::arg("pipeline"),
           py::arg("target"), py::arg("rules") = std::vector<Rule>())
      .def(
          "run",
          [](const PassManager& manager, const Graph& graph, std::optional<size_t> fuel,
             const RangePair& range, const std::optional<decltype(RunOptions::watch)>& watch) {
            return manager.Run(graph, {.fuel = fuel.value_or(Rewrites::kNoLimit),
                                       .range = RangeOf(range),
                                       .watch = watch.value_or(nullptr)});
          },
          py::arg("graph"), py::arg("fuel") = py::none(), py::arg("range") = py::none(),
          py::arg("watch") = py::none(), py::call_guard<Unlocked>())
      .def(
          "key",
          [](const PassManager& manager, const RangePair& range) {
            return manager.key(RangeOf(range));
          },
          py::arg("range") = py::none())
      .def(
          "key_of",
          [](const PassManager& manager, const Graph& graph, const RangePair& range) {
            return manager.KeyOf(graph, RangeOf(range));
          },
          py::arg("graph"), py::arg("range") = py::none(), py::call_guard<Unlocked>())
      .def_property_readonly("passes", &PassesOf)
      .def_property_readonly("pipeline",
                             [](const PassManager& manager) { return ToText(manager.pipeline()); });
  m.def(
      "check_pipeline", [](std::string_view text) { ParsePipeline(text); }, py::arg("text"),
      "ArgumentError where a text is no pipeline.");
  m.def(
      "pass_names",
      [] {
        std::vector<std::pair<std::string, std::string>> names;
        for (const auto& pass : AllPasses()) names.emplace_back(pass->name(), pass->doc());
        return names;
      },
      "Name and sentence of each pass.");
  m.def(
      "check_rule",
      [](std::string_view signature, std::string_view equals) {
        RuleOf(Op(signature).Equals(equals));
      },
      py::arg("signature"), py::arg("equals"),
      "GraphError where a fused operator of this signature would lose what its Equals body binds.");
}

}  // namespace fusible
