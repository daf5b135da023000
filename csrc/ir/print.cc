// From a graph to its text.
#include <utility>

#include "core/cat.h"
#include "ir/syntax.h"
#include "ir/text.h"

namespace fusible {
namespace {

class Printer {
 public:
  std::string Print(const Graph& graph) {
    for (const Input& input : graph.inputs) {
      Write(syntax::Keyword(input.kind), ' ');
      Declare(graph, input.value);
      Write('\n');
    }
    PrintNodes(graph, "");
    Write("return");
    PrintResults(graph);
    Write('\n');
    return std::move(out_);
  }

  std::string Print(const Graph& graph, const Node& node) {
    PrintNode(graph, node, "");
    return out_.substr(0, out_.find(" {\n"));
  }

 private:
  template <class... Parts>
  void Write(const Parts&... parts) {
    (AppendPart(out_, parts), ...);
  }

  void PrintNodes(const Graph& graph, const std::string& indent) {
    for (const Node& node : graph.nodes) {
      Write(indent);
      PrintNode(graph, node, indent);
      Write('\n');
    }
  }

  void PrintResults(const Graph& graph) {
    std::vector<ValueId> updates(graph.outputs.size(), kAbsent);
    for (const Input& input : graph.inputs) {
      if (input.new_value >= 0) updates[input.new_value] = input.value;
    }
    for (size_t k = 0; k < updates.size(); ++k) {
      Write(k == 0 ? " " : ", ");
      Mention(graph, graph.outputs[k]);
      if (updates[k] != kAbsent) Write(" -> ", graph.values[updates[k]].name);
    }
  }

  void PrintNode(const Graph& graph, const Node& node, const std::string& indent) {
    const bool typed = !node.opaque.empty();
    Join(node.outputs, [&](ValueId id) { typed ? Declare(graph, id) : Mention(graph, id); });
    if (!node.outputs.empty()) Write(" = ");
    if (node.region) {
      Write("rows ", node.region->name, " {\n");
      const Graph& body = node.region->body;
      PrintNodes(body, indent + "  ");
      Write(indent, "  return");
      Join(body.outputs, [&](ValueId id) { Mention(body, id); }, " ");
      Write('\n', indent, '}');
    } else {
      PrintCall(graph, node);
    }
  }

  // Absent operands at the end are left out, as are attributes with their default.
  void PrintCall(const Graph& graph, const Node& node) {
    std::span<const ValueId> operands = node.inputs;
    while (node.op && !operands.empty() && operands.back() == kAbsent) {
      operands = operands.first(operands.size() - 1);
    }
    Write(node.op ? std::string_view(node.op->name()) : "opaque", '(');
    Join(operands, [&](ValueId id) { Mention(graph, id); });
    std::string_view separator = operands.empty() ? "" : ", ";
    const auto print = [&](std::string_view name, const AttrValue& value) {
      Write(separator, name, '=', ToText(value));
      separator = ", ";
    };
    if (!node.op) print("name", node.opaque);
    if (node.mutates) print("mutates", true);
    for (const auto& [name, value] : node.attrs) {
      const AttrSpec* spec = node.op ? node.op->signature().FindAttr(name) : nullptr;
      const bool is_default = spec && spec->default_value && SameText(*spec->default_value, value);
      if (!is_default) print(name, value);
    }
    Write(')');
  }

  void Mention(const Graph& graph, ValueId id) {
    Write(id == kAbsent ? std::string_view("none") : graph.values[id].name);
  }

  void Declare(const Graph& graph, ValueId id) {
    Write(graph.values[id].name, ": ", Cat(graph.TypeOf(id)));
  }

  template <class F>
  void Join(std::span<const ValueId> ids, const F& print, std::string_view before = "") {
    for (ValueId id : ids) {
      Write(before);
      print(id);
      before = ", ";
    }
  }

  std::string out_;
};

}  // namespace

std::string ToText(const Graph& graph) { return Printer().Print(graph); }

std::string StatementText(const Graph& graph, const Node& node) {
  return Printer().Print(graph, node);
}

}  // namespace fusible
