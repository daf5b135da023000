// From a graph to its text.
#include <sstream>

#include "ir/syntax.h"
#include "ir/text.h"

namespace fusible {
namespace {

class Printer {
 public:
  std::string Print(const Graph& graph) {
    for (const Input& input : graph.inputs) {
      out_ << syntax::Keyword(input.kind) << ' ';
      Declare(graph, input.value);
      out_ << '\n';
    }
    PrintNodes(graph, "");
    out_ << "return";
    PrintResults(graph);
    out_ << '\n';
    return out_.str();
  }

  std::string Print(const Graph& graph, const Node& node) {
    PrintNode(graph, node, "");
    const std::string text = out_.str();
    return text.substr(0, text.find(" {\n"));
  }

 private:
  void PrintNodes(const Graph& graph, const std::string& indent) {
    for (const Node& node : graph.nodes) {
      out_ << indent;
      PrintNode(graph, node, indent);
      out_ << '\n';
    }
  }

  void PrintResults(const Graph& graph) {
    std::vector<ValueId> updates(graph.outputs.size(), kAbsent);
    for (const Input& input : graph.inputs) {
      if (input.new_value >= 0) updates[input.new_value] = input.value;
    }
    for (size_t k = 0; k < updates.size(); ++k) {
      out_ << (k == 0 ? " " : ", ");
      Mention(graph, graph.outputs[k]);
      if (updates[k] != kAbsent) out_ << " -> " << graph.values[updates[k]].name;
    }
  }

  void PrintNode(const Graph& graph, const Node& node, const std::string& indent) {
    const bool typed = !node.opaque.empty();
    Join(node.outputs, [&](ValueId id) { typed ? Declare(graph, id) : Mention(graph, id); });
    if (!node.outputs.empty()) out_ << " = ";
    if (node.region) {
      out_ << "rows " << node.region->name << " {\n";
      const Graph& body = node.region->body;
      PrintNodes(body, indent + "  ");
      out_ << indent << "  return";
      Join(body.outputs, [&](ValueId id) { Mention(body, id); }, " ");
      out_ << '\n' << indent << '}';
    } else {
      PrintCall(graph, node);
    }
  }

  // Absent operands at the end are left out, as are attributes with their default.
  void PrintCall(const Graph& graph, const Node& node) {
    std::vector<ValueId> operands = node.inputs;
    while (node.op && !operands.empty() && operands.back() == kAbsent) operands.pop_back();
    out_ << (node.op ? node.op->name() : "opaque") << '(';
    Join(operands, [&](ValueId id) { Mention(graph, id); });
    std::string_view separator = operands.empty() ? "" : ", ";
    const auto print = [&](std::string_view name, const AttrValue& value) {
      out_ << separator << name << '=' << ToText(value);
      separator = ", ";
    };
    if (!node.op) print("name", node.opaque);
    if (node.mutates) print("mutates", true);
    for (const auto& [name, value] : node.attrs) {
      const AttrSpec* spec = node.op ? node.op->signature().FindAttr(name) : nullptr;
      // As text, where -0.0 is not 0.0.
      const bool is_default =
          spec && spec->default_value && ToText(*spec->default_value) == ToText(value);
      if (!is_default) print(name, value);
    }
    out_ << ')';
  }

  void Mention(const Graph& graph, ValueId id) {
    out_ << (id == kAbsent ? "none" : graph.values[id].name);
  }

  void Declare(const Graph& graph, ValueId id) {
    out_ << graph.values[id].name << ": " << graph.TypeOf(id);
  }

  template <class F>
  void Join(const std::vector<ValueId>& ids, const F& print, std::string_view before = "") {
    for (ValueId id : ids) {
      out_ << before;
      print(id);
      before = ", ";
    }
  }

  std::ostringstream out_;
};

}  // namespace

std::string ToText(const Graph& graph) { return Printer().Print(graph); }

std::string StatementText(const Graph& graph, const Node& node) {
  return Printer().Print(graph, node);
}

}  // namespace fusible
