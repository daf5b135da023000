#include "ir/expand.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "core/cat.h"
#include "ir/infer.h"
#include "ir/syntax.h"
#include "ops/registry.h"

namespace fusible {
namespace {

constexpr int kMaxNesting = 16;  // of fused operators within the Equals of others

// Makes the graph of one Equals body for one call.
class Expansion {
 public:
  Expansion(const Op& op, std::span<const std::optional<Type>> operands, const Attrs& attrs)
      : op_(op), binding_(BindCall(op, operands, attrs)) {
    const std::vector<ParamSpec>& params = op.signature().params;
    for (size_t i = 0; i < params.size(); ++i) {
      const bool given = i < operands.size() && operands[i];
      values_[params[i].name] = given ? graph_.AddInput(params[i].name, *operands[i]) : kAbsent;
    }
  }

  Graph Run() {
    const syntax::Body body = syntax::ParseEqualsSyntax(op_.equals());
    for (const syntax::Statement& statement : body.statements) {
      if (statement.callee.text == "opaque") {
        AddOpaque(statement, body.returns);
      } else {
        AddCall(statement);
      }
    }
    for (const syntax::Return& result : body.returns) {
      graph_.outputs.push_back(Find(result.value));
    }
    CheckResults(body.end);
    return std::move(graph_);
  }

 private:
  void AddCall(const syntax::Statement& statement) {
    const Op* callee = statement.body ? nullptr : FindOp(statement.callee.text);
    if (!callee) Fail(statement.callee, Cat("expected an operator, got ", statement.callee.text));
    ValueIds operands;
    for (const syntax::Name& name : statement.operands) operands.push_back(Find(name));
    std::vector<std::string> names;
    for (const syntax::Target& target : statement.targets) names.emplace_back(target.name.text);
    const Node& node = graph_.AddCall(*callee, std::move(operands), GivenAttrs(statement), names);
    if (node.outputs.size() != names.size()) {
      Fail(statement.callee, Cat("expected ", node.outputs.size(), " results, got ", names.size()));
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (!values_.try_emplace(names[i], node.outputs[i]).second) {
        Fail(statement.targets[i].name, Cat("expected a new name, got ", names[i]));
      }
    }
  }

  // What is not ours says nothing of its results: they are the operator's own.
  void AddOpaque(const syntax::Statement& statement, const std::vector<syntax::Return>& returns) {
    Node node;
    node.attrs = GivenAttrs(statement);
    node.opaque = node.attrs.Str("name");
    node.attrs.Erase("name");
    for (const syntax::Name& name : statement.operands) node.inputs.push_back(Find(name));
    for (const syntax::Target& target : statement.targets) {
      const auto result = std::ranges::find_if(
          returns, [&](const syntax::Return& r) { return r.value.text == target.name.text; });
      if (result == returns.end()) {
        Fail(target.name, Cat("opaque: expected a result of the whole, got ", target.name.text));
      }
      const ValueId value =
          graph_.AddValue(target.name.text, binding_.results[result - returns.begin()]);
      node.outputs.push_back(value);
      values_[std::string(target.name.text)] = value;
    }
    graph_.nodes.push_back(std::move(node));
  }

  // A name stands for the fused operator's attribute, and for none where that is absent.
  Attrs GivenAttrs(const syntax::Statement& statement) const {
    Attrs attrs;
    for (const syntax::Attr& attr : statement.attrs) {
      if (const auto* literal = std::get_if<AttrValue>(&attr.value)) {
        attrs.Set(attr.name.text, *literal);
        continue;
      }
      const syntax::Name& name = std::get<syntax::Name>(attr.value);
      if (!op_.signature().FindAttr(name.text)) {
        Fail(name, Cat("expected an attribute of it, got ", name.text));
      }
      const AttrValue* value = binding_.attrs.Find(name.text);
      if (value) attrs.Set(attr.name.text, *value);
    }
    return attrs;
  }

  ValueId Find(const syntax::Name& name) const {
    if (name.text == "none") return kAbsent;
    const auto found = values_.find(std::string(name.text));
    if (found == values_.end()) {
      Fail(name, Cat("expected an operand or a value defined above, got ", name.text));
    }
    return found->second;
  }

  void CheckResults(const syntax::Name& at) const {
    const std::vector<Type>& expected = binding_.results;
    if (graph_.outputs.size() != expected.size()) {
      Fail(at, Cat("expected ", expected.size(), " results, got ", graph_.outputs.size()));
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      const ValueId output = graph_.outputs[i];
      if (output == kAbsent || !(graph_.TypeOf(output) == expected[i])) {
        Fail(at, Cat("result ", op_.signature().results[i].name, ": expected ", expected[i],
                     ", got ", output == kAbsent ? "none" : Cat(graph_.TypeOf(output))));
      }
    }
  }

  [[noreturn]] void Fail(const syntax::Name& at, const std::string& message) const {
    syntax::Fail(at, Cat(op_.name(), ": Equals: ", message));
  }

  const Op& op_;
  Binding binding_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> values_;
};

// Rebuilds a graph's nodes with some of them replaced by what they equal.
class Expander {
 public:
  Expander(Graph& graph, const std::function<bool(const Node&)>& choose)
      : graph_(graph), choose_(choose) {}

  int Run() {
    std::vector<Node> nodes = std::exchange(graph_.nodes, {});
    graph_.nodes.reserve(nodes.size());
    for (Node& node : nodes) Append(std::move(node), 0);
    Substitute(graph_.outputs);
    return count_;
  }

 private:
  void Append(Node node, int nesting) {
    Substitute(node.inputs);
    const bool equals = node.region || (node.op && !node.op->equals().empty());
    if (!equals || !choose_(node)) {
      graph_.nodes.push_back(std::move(node));
      return;
    }
    if (nesting == kMaxNesting) {
      throw GraphError(Cat(NodeName(node), ": Equals: expected smaller operators, got a cycle"));
    }
    ++count_;
    std::vector<ValueId> given(node.inputs.begin(), node.inputs.end());
    std::erase(given, kAbsent);
    Replace(node, Inlined(BodyOf(node), given), nesting);
  }

  Graph BodyOf(const Node& node) const {
    if (node.region) return node.region->body;
    return ExpandEquals(*node.op, OperandTypes(graph_, node), node.attrs);
  }

  // The body's nodes, taken out again, so that those among them that are chosen are replaced too.
  struct Parts {
    size_t first_value;  // values from it on are the body's own
    std::vector<Node> nodes;
    std::vector<ValueId> outputs;
  };

  Parts Inlined(const Graph& body, const std::vector<ValueId>& inputs) {
    Parts parts;
    parts.first_value = graph_.values.size();
    const size_t first_node = graph_.nodes.size();
    parts.outputs = Inline(graph_, body, inputs);
    const auto begin = graph_.nodes.begin() + static_cast<int64_t>(first_node);
    parts.nodes.assign(std::make_move_iterator(begin), std::make_move_iterator(graph_.nodes.end()));
    graph_.nodes.erase(begin, graph_.nodes.end());
    return parts;
  }

  // The new values take over the names that the call's results had.
  void Replace(const Node& call, Parts parts, int nesting) {
    for (size_t i = 0; i < call.outputs.size(); ++i) {
      const ValueId made = parts.outputs[i];
      if (static_cast<size_t>(made) >= parts.first_value) {
        std::swap(graph_.values[made].name, graph_.values[call.outputs[i]].name);
      }
      stands_[call.outputs[i]] = made;
    }
    for (Node& node : parts.nodes) Append(std::move(node), nesting + 1);
  }

  void Substitute(std::span<ValueId> ids) const {
    for (ValueId& id : ids) {
      for (auto at = stands_.find(id); at != stands_.end(); at = stands_.find(id)) id = at->second;
    }
  }

  Graph& graph_;
  const std::function<bool(const Node&)>& choose_;
  int count_ = 0;
  std::unordered_map<ValueId, ValueId> stands_;  // a replaced result -> what stands for it
};

}  // namespace

Graph ExpandEquals(const Op& op, std::span<const std::optional<Type>> operands,
                   const Attrs& attrs) {
  if (op.equals().empty()) throw GraphError(Cat(op.name(), ": expected an Equals body, got none"));
  return Expansion(op, operands, attrs).Run();
}

int Expand(Graph& graph, const std::function<bool(const Node&)>& choose) {
  return Expander(graph, choose).Run();
}

bool RunsAsGraph(const Op& op) {
  if (op.rows() || op.kernel() || op.equals().empty()) return false;
  const syntax::Body body = syntax::ParseEqualsSyntax(op.equals());
  return std::ranges::any_of(body.statements, [](const syntax::Statement& statement) {
    const Op* part = statement.body ? nullptr : FindOp(statement.callee.text);
    return part && (part->kernel() || RunsAsGraph(*part));
  });
}

std::vector<ValueId> Inline(Graph& graph, const Graph& body, std::span<const ValueId> inputs) {
  std::vector<ValueId> stands(body.values.size(), kAbsent);
  for (size_t i = 0; i < body.inputs.size(); ++i) stands[body.inputs[i].value] = inputs[i];
  const auto replace = [&](std::span<ValueId> ids) {
    for (ValueId& id : ids) id = id == kAbsent ? kAbsent : stands[id];
  };
  for (const Node& inner : body.nodes) {
    Node node = inner;
    for (ValueId output : node.outputs) {
      stands[output] = graph.AddValue(body.values[output].name, body.TypeOf(output));
    }
    replace(node.inputs);
    replace(node.outputs);
    graph.nodes.push_back(std::move(node));
  }
  std::vector<ValueId> outputs = body.outputs;
  replace(outputs);
  return outputs;
}

}  // namespace fusible
