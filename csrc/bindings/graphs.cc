// Graphs: their text, their parts, and the builder that tracing uses.
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include "bindings/arrays.h"
#include "bindings/attributes.h"
#include "bindings/bind.h"
#include "bindings/packed_weights.h"
#include "bindings/unlocked.h"
#include "core/cat.h"
#include "core/error.h"
#include "ir/key.h"
#include "ir/split.h"
#include "ir/text.h"
#include "ir/updates.h"
#include "ir/verify.h"
#include "ops/registry.h"
#include "runtime/weights_key.h"

namespace fusible {
namespace {

py::object ToPython(const Dim& dim) {
  if (dim.IsConstant()) return py::int_(dim.offset);
  return py::str(Cat(dim));
}

py::tuple ToPython(const Shape& shape) {
  py::tuple tuple(shape.size());
  for (int i = 0; i < shape.size(); ++i) tuple[i] = ToPython(shape[i]);
  return tuple;
}

std::string_view KindName(InputKind kind) {
  static constexpr std::string_view kNames[] = {"plain", "constant", "updated"};
  return kNames[static_cast<size_t>(kind)];
}

InputKind ParseKind(std::string_view name) {
  for (const InputKind kind : {InputKind::kPlain, InputKind::kConstant, InputKind::kUpdated}) {
    if (KindName(kind) == name) return kind;
  }
  throw ArgumentError(Cat("kind: expected plain, constant or updated, got ", name));
}

Type ParseType(const std::string& text) {
  const Graph graph = ParseGraph(Cat("input x: ", text, "\nreturn x\n"));
  if (graph.inputs.size() != 1 || !graph.nodes.empty()) {
    throw GraphError(Cat("expected a type such as bf16[T, 4096], got ", text));
  }
  return graph.TypeOf(graph.outputs[0]);
}

// An input or another value, as plain data.
struct ValueInfo {
  std::string name, dtype, kind;
  py::tuple shape;
};

ValueInfo InfoOf(const Graph& g, ValueId id, std::string_view kind) {
  const Type& type = g.TypeOf(id);
  return {g.values[id].name, std::string(Name(type.dtype)), std::string(kind),
          ToPython(type.shape)};
}

std::vector<ValueInfo> InputsOf(const Graph& g) {
  std::vector<ValueInfo> inputs;
  for (const Input& input : g.inputs)
    inputs.push_back(InfoOf(g, input.value, KindName(input.kind)));
  return inputs;
}

std::vector<ValueInfo> OutputsOf(const Graph& g) {
  std::vector<ValueInfo> outputs;
  for (ValueId id : g.outputs) outputs.push_back(InfoOf(g, id, "output"));
  return outputs;
}

// A node as plain data; `body` is the graph inside a region.
struct NodeInfo {
  std::string name;
  bool is_region = false, is_opaque = false;
  std::vector<std::optional<std::string>> inputs;
  std::vector<std::string> outputs;
  py::dict attrs;
  std::optional<Graph> body;
};

NodeInfo InfoOf(const Graph& g, const Node& node) {
  NodeInfo info{.name = NodeName(node),
                .is_region = node.region != nullptr,
                .is_opaque = !node.opaque.empty(),
                .inputs = {},
                .outputs = {},
                .attrs = {},
                .body = std::nullopt};
  for (ValueId id : node.inputs) {
    info.inputs.push_back(id == kAbsent ? std::nullopt : std::optional(g.values[id].name));
  }
  for (ValueId id : node.outputs) info.outputs.push_back(g.values[id].name);
  for (const auto& [name, value] : node.attrs) info.attrs[py::str(name)] = ToPython(value);
  if (node.region) info.body = node.region->body;
  return info;
}

std::vector<NodeInfo> NodesOf(const Graph& g) {
  std::vector<NodeInfo> nodes;
  for (const Node& node : g.nodes) nodes.push_back(InfoOf(g, node));
  return nodes;
}

// Grows a graph call by call; values are numbers.
class GraphBuilder {
 public:
  ValueId AddInput(const std::string& name, const std::string& type, std::string_view kind) {
    return graph_.AddInput(name, ParseType(type), ParseKind(kind));
  }

  std::vector<ValueId> AddCall(const std::string& op,
                               const std::vector<std::optional<ValueId>>& ids,
                               const py::dict& attrs) {
    const Op& called = RequireOp(op);
    std::vector<ValueId> inputs(called.signature().params.size(), kAbsent);
    if (ids.size() > inputs.size()) {
      throw ArgumentError(
          Cat(op, ": expected at most ", inputs.size(), " operands, got ", ids.size()));
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i]) inputs[i] = Checked(*ids[i]);
    }
    const ValueIds& made = graph_.AddCall(called, inputs, ReadAttrs(called, attrs)).outputs;
    return {made.begin(), made.end()};
  }

  std::vector<ValueId> AddOpaque(const std::string& name, const std::vector<ValueId>& inputs,
                                 const std::vector<std::string>& types, bool mutates) {
    Node node;
    node.opaque = name;
    node.mutates = mutates;
    for (ValueId id : inputs) node.inputs.push_back(Checked(id));
    for (const std::string& type : types) {
      node.outputs.push_back(graph_.AddValue(name, ParseType(type)));
    }
    graph_.nodes.push_back(node);
    return {node.outputs.begin(), node.outputs.end()};
  }

  std::pair<std::string, py::tuple> TypeOf(ValueId id) const {
    const Type& type = graph_.TypeOf(Checked(id));
    return {std::string(Name(type.dtype)), ToPython(type.shape)};
  }

  // new_values: of some inputs, by their number, the number of the result that updates them.
  Graph Finish(const std::vector<ValueId>& outputs, const std::map<int, int>& new_values) const {
    Graph graph = graph_;
    for (ValueId id : outputs) graph.outputs.push_back(Checked(id));
    for (const auto& [input, result] : new_values) graph.inputs.at(input).new_value = result;
    FindNewValues(graph);
    Compact(graph);
    Verify(graph, "trace");
    return graph;
  }

 private:
  ValueId Checked(ValueId id) const {
    if (id >= 0 && id < static_cast<ValueId>(graph_.values.size())) return id;
    throw ArgumentError(Cat("expected one of ", graph_.values.size(), " values, got number ", id));
  }

  Graph graph_;
};

void BindBuilder(py::module_& m) {
  py::class_<GraphBuilder>(m, "GraphBuilder", "Grows a graph call by call, for fusible.trace.")
      .def(py::init<>())
      .def("add_input", &GraphBuilder::AddInput, py::arg("name"), py::arg("type"), py::arg("kind"))
      .def("add_call", &GraphBuilder::AddCall, py::arg("op"), py::arg("operands"), py::arg("attrs"))
      .def("add_opaque", &GraphBuilder::AddOpaque, py::arg("name"), py::arg("operands"),
           py::arg("types"), py::arg("mutates"))
      .def("type_of", &GraphBuilder::TypeOf, py::arg("value"))
      .def("finish", &GraphBuilder::Finish, py::arg("outputs"),
           py::arg("new_values") = std::map<int, int>());
}

std::vector<std::pair<std::string, std::string>> PartsOf(const Key& key) {
  auto parts = key.parts;
  for (auto& [name, content] : parts) content = Shorten(content);
  return parts;
}

py::typing::Dict<py::str, py::str> DiffOf(const Key& here, const Key& there) {
  py::typing::Dict<py::str, py::str> sentences;
  for (const auto& [part, sentence] : Diff(here, there)) sentences[py::str(part)] = sentence;
  return sentences;
}

Key KeyOf(const Graph& graph, const std::optional<std::map<std::string, py::object>>& weights) {
  if (!weights) return GraphKey(graph);
  std::map<std::string, GivenWeight> given;
  std::vector<py::object> owners;
  for (const auto& [name, weight] : *weights) {
    BorrowedArray read = ReadWeight(weight, {"weights", "", name});
    given.emplace(name, GivenWeight{read.view, DigestOfPacked(weight)});
    owners.push_back(std::move(read.owner));
  }
  const Unlocked unlocked;
  return GraphKey(graph, given);
}

void BindKey(py::module_& m) {
  py::class_<Key>(m, "Key", "A cache key: a UUID, and the named parts it is made from.")
      .def_property_readonly("uuid", &Key::uuid)
      .def_property_readonly("parts", &PartsOf)
      .def_readonly("left_out", &Key::left_out)
      .def("__str__", &Key::uuid)
      .def("__repr__", [](const Key& key) { return Cat("<fusible key ", key.uuid(), ">"); })
      .def("__hash__", [](const Key& key) { return py::hash(py::str(key.uuid())); })
      .def(
          "__eq__", [](const Key& a, const Key& b) { return a.parts == b.parts; },
          py::is_operator())
      .def("explain", &Key::Explain,
           "The UUID, its parts (of long ones the digest) and what was left out, as lines.")
      .def("diff", &DiffOf, py::arg("other"),
           "Part -> a sentence that says what this key and the other have, for each part that "
           "differs.");
}

// Pieces go to Python as name and graph, and come back so.
using PieceParts = std::vector<std::pair<std::string, Graph>>;

PieceParts Split(const Graph& graph, const std::vector<std::string>& names) {
  PieceParts parts;
  for (Piece& piece : SplitAt(graph, names)) {
    parts.emplace_back(std::move(piece.at), std::move(piece.graph));
  }
  return parts;
}

Graph JoinParts(const Graph& whole, const PieceParts& parts, const std::vector<Graph>& graphs) {
  std::vector<Piece> pieces;
  for (const auto& [at, graph] : parts) pieces.push_back({at, graph});
  return Join(whole, pieces, graphs);
}

void BindInfos(py::module_& m) {
  py::class_<ValueInfo>(m, "ValueInfo",
                        "Name, dtype, shape (sizes or symbols) and kind of a value.")
      .def_readonly("name", &ValueInfo::name)
      .def_readonly("dtype", &ValueInfo::dtype)
      .def_readonly("shape", &ValueInfo::shape)
      .def_readonly("kind", &ValueInfo::kind);
  py::class_<NodeInfo>(m, "NodeInfo", "One node of a graph, as plain data.")
      .def_readonly("name", &NodeInfo::name)
      .def_readonly("is_region", &NodeInfo::is_region)
      .def_readonly("is_opaque", &NodeInfo::is_opaque)
      .def_readonly("inputs", &NodeInfo::inputs)
      .def_readonly("outputs", &NodeInfo::outputs)
      .def_readonly("attrs", &NodeInfo::attrs)
      .def_readonly("body", &NodeInfo::body);
}

}  // namespace

void BindGraphs(py::module_& m) {
  BindKey(m);
  auto graph = py::class_<Graph>(m, "Graph", "A graph of operator calls; immutable from Python.");
  BindInfos(m);
  graph
      .def_static("parse", &ParseGraph, py::arg("text"),
                  "The graph of a text; GraphError with line and column. parse(str(g)) == g.")
      .def("__str__", [](const Graph& g) { return ToText(g); })
      .def("__repr__",
           [](const Graph& g) { return Cat("<fusible graph of ", g.nodes.size(), " nodes>"); })
      .def(
          "__eq__", [](const Graph& a, const Graph& b) { return a == b; }, py::is_operator())
      .def("key", &KeyOf, py::arg("weights") = py::none(),
           "Its structural key: names and node order do not count. Constants count by dtype and "
           "shape; those given in `weights`, by name, by their elements too, packed or not.")
      .def(
          "verify", [](const Graph& g) { Verify(g); }, "GraphError naming the first broken rule.")
      .def_property_readonly("inputs", &InputsOf)
      .def_property_readonly("outputs", &OutputsOf)
      .def_property_readonly("nodes", &NodesOf);
  m.def("verifier_rules", &VerifierRules, "Name and sentence of each rule of a legal graph.");
  m.def("split_at", &Split, py::arg("graph"), py::arg("names"), py::call_guard<Unlocked>(),
        "Name and graph of each piece; the name is empty for what stands between two cuts.");
  m.def("join", &JoinParts, py::arg("whole"), py::arg("pieces"), py::arg("graphs"),
        py::call_guard<Unlocked>(), "The whole graph, with graphs in place of its pieces.");
  BindBuilder(m);
}

}  // namespace fusible
