// From the syntax tree of a graph to the graph: names, operators and types resolved.
#include <algorithm>

#include "core/cat.h"
#include "ir/infer.h"
#include "ir/syntax.h"
#include "ir/text.h"
#include "ir/updates.h"
#include "ir/value_names.h"
#include "ops/registry.h"

namespace fusible {
namespace {

using syntax::Fail;

// One graph, or one region's body, whose names may also mean values of the graphs around it: these
// become the body's inputs when they are first mentioned.
class Scope {
 public:
  // expected: how many nodes there will be.
  Scope(Scope* outer, size_t expected) : outer_(outer), names_(graph.values, expected) {
    graph.values.reserve(expected);
    graph.nodes.reserve(expected);
  }

  ValueId Find(const syntax::Name& name) {
    if (const auto found = names_.Find(name.text)) return *found;
    if (!outer_) Fail(name, Cat("expected a value defined above, got `", name.text, "`"));
    const ValueId outer = outer_->Find(name);
    captured_.push_back(outer);
    const ValueId inner = Append(name, outer_->graph.TypeOf(outer));
    graph.inputs.push_back({inner});
    return inner;
  }

  ValueId Define(const syntax::Name& name, const Type& type) {
    if (!IsValueName(name.text)) Fail(name, "expected the name of a value, got `none`");
    if (names_.Find(name.text)) {
      Fail(name, Cat("expected a new name, got `", name.text, "` again"));
    }
    return Append(name, type);
  }

  const std::vector<ValueId>& captured() const { return captured_; }  // of outer_, for each input

  Graph graph;

 private:
  ValueId Append(const syntax::Name& name, const Type& type) {
    const auto id = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({std::string(name.text), graph.types.Add(type)});
    names_.Insert(id);
    return id;
  }

  Scope* outer_;
  std::vector<ValueId> captured_;
  ValueNames names_;
};

Attrs GivenAttrs(const syntax::Statement& statement) {
  Attrs attrs;
  for (const syntax::Attr& attr : statement.attrs) {
    attrs.Set(attr.name.text, std::get<AttrValue>(attr.value));
  }
  return attrs;
}

ValueIds Operands(const syntax::Statement& statement, Scope& scope) {
  ValueIds operands;
  for (const syntax::Name& name : statement.operands) {
    operands.push_back(name.text == "none" ? kAbsent : scope.Find(name));
  }
  return operands;
}

// Result types: as the text declares them, which must be as they are inferred where they are.
void DefineResults(const syntax::Statement& statement, const std::vector<Type>& types, Scope& scope,
                   Node& node) {
  if (statement.targets.size() != types.size()) {
    Fail(statement.callee, Cat(statement.callee.text, ": expected ", types.size(), " results, got ",
                               statement.targets.size()));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    const syntax::Target& target = statement.targets[i];
    if (target.type && !(*target.type == types[i])) {
      Fail(target.name, Cat(statement.callee.text, ": ", target.name.text, ": expected ", types[i],
                            ", got ", *target.type));
    }
    const std::string problem = ShapeProblem(types[i].shape);
    if (!problem.empty()) Fail(target.name, Cat(statement.callee.text, ": ", problem));
    node.outputs.push_back(scope.Define(target.name, types[i]));
  }
}

// The operator's own errors, with the place of the call in front.
std::vector<Type> BindAt(const syntax::Name& at, const Graph& graph, Node& node) {
  try {
    Binding binding = BindCall(*node.op, OperandTypes(graph, node), node.attrs);
    node.attrs = std::move(binding.attrs);
    return std::move(binding.results);
  } catch (const Error& error) {
    Fail(at, error.what());
  }
}

const Op& FindOpAt(const syntax::Name& name) {
  try {
    return RequireOp(name.text);
  } catch (const ArgumentError& error) {
    Fail(name, error.what());
  }
}

void AddOp(const syntax::Statement& statement, Scope& scope) {
  Node node;
  node.op = &FindOpAt(statement.callee);
  node.inputs = Operands(statement, scope);
  node.attrs = GivenAttrs(statement);
  const std::vector<Type> types = BindAt(statement.callee, scope.graph, node);
  node.inputs.resize(node.op->signature().params.size(), kAbsent);
  DefineResults(statement, types, scope, node);
  scope.graph.nodes.push_back(std::move(node));
}

template <class T>
T OpaqueAttr(const syntax::Statement& statement, std::string_view name, T otherwise) {
  const syntax::Attr* attr = statement.FindAttr(name);
  if (!attr) return otherwise;
  const T* value = std::get_if<T>(&std::get<AttrValue>(attr->value));
  if (!value) Fail(attr->name, Cat("opaque: ", name, ": expected another kind of value"));
  return *value;
}

void AddOpaque(const syntax::Statement& statement, Scope& scope) {
  Node node;
  node.opaque = OpaqueAttr<std::string>(statement, "name", "");
  node.mutates = OpaqueAttr<bool>(statement, "mutates", false);
  if (node.opaque.empty()) Fail(statement.callee, "opaque: name: expected a string, got none");
  node.inputs = Operands(statement, scope);
  node.attrs = GivenAttrs(statement);
  node.attrs.Erase("name");
  node.attrs.Erase("mutates");
  std::vector<Type> types;
  for (const syntax::Target& target : statement.targets) {
    if (!target.type)
      Fail(target.name, "opaque: expected a result with its type, as in `y: f32[T]`");
    types.push_back(*target.type);
  }
  DefineResults(statement, types, scope, node);
  scope.graph.nodes.push_back(std::move(node));
}

void AddResults(const syntax::Body& body, Scope& scope) {
  for (const syntax::Return& result : body.returns) {
    scope.graph.outputs.push_back(scope.Find(result.value));
  }
}

void AddStatement(const syntax::Statement& statement, Scope& scope);

void AddRegion(const syntax::Statement& statement, Scope& scope) {
  auto region = std::make_shared<Region>();
  region->name = statement.callee.text;
  Scope inner(&scope, statement.body->statements.size());
  for (const syntax::Statement& each : statement.body->statements) AddStatement(each, inner);
  AddResults(*statement.body, inner);
  region->body = std::move(inner.graph);
  Node node;
  node.inputs = inner.captured();
  node.region = std::move(region);
  DefineResults(statement, InferTypes(scope.graph, node), scope, node);
  scope.graph.nodes.push_back(std::move(node));
}

// Recurses into regions, whose depth the syntax bounds.
void AddStatement(const syntax::Statement& statement, Scope& scope) {
  if (statement.body) {
    AddRegion(statement, scope);
  } else if (statement.callee.text == "opaque") {
    AddOpaque(statement, scope);
  } else {
    AddOp(statement, scope);
  }
}

// `return y -> cache`. Where no result says so, it is found.
void SetNewValues(const syntax::Body& body, Graph& graph) {
  bool said = false;
  for (int k = 0; k < std::ssize(body.returns); ++k) {
    const auto& name = body.returns[k].updates;
    if (!name) continue;
    said = true;
    const auto input = std::ranges::find_if(graph.inputs, [&](const Input& one) {
      return one.kind == InputKind::kUpdated && graph.values[one.value].name == name->text;
    });
    if (input == graph.inputs.end()) {
      Fail(*name, Cat("expected an updated input, got `", name->text, "`"));
    }
    if (input->new_value >= 0) Fail(*name, Cat("expected one new value of `", name->text, "`"));
    input->new_value = k;
  }
  if (!said) FindNewValues(graph);
}

}  // namespace

Graph ParseGraph(std::string_view text) {
  if (text.size() > kMaxGraphText) {
    throw GraphError(Cat("expected at most ", kMaxGraphText, " bytes of text, got ", text.size()));
  }
  // A text of nothing but ends of lines does not get memory for as many nodes.
  constexpr int64_t kMostForeseen = 1 << 16;
  Scope scope(nullptr, std::min<int64_t>(std::ranges::count(text, '\n'), kMostForeseen));
  const syntax::Body body = syntax::ReadGraphSyntax(
      text,
      [&](const syntax::InputLine& input) {
        scope.graph.inputs.push_back({scope.Define(input.name, input.type), input.kind});
      },
      [&](const syntax::Statement& statement) { AddStatement(statement, scope); });
  AddResults(body, scope);
  SetNewValues(body, scope.graph);
  return std::move(scope.graph);
}

}  // namespace fusible
