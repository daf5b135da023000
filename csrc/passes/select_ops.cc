#include <utility>

#include "ir/expand.h"
#include "passes/edit.h"
#include "passes/list.h"
#include "passes/support.h"

namespace fusible::passes {
namespace {

class SelectOps final : public Pass {
 public:
  std::string_view name() const override { return "select-ops"; }
  std::string_view doc() const override {
    return "Takes apart fused calls that the target lacks, and says which of the rest it lacks.";
  }
  void Run(Graph& graph, const Target& target, Report& report) const override {
    Replacements replaced;
    for (Node& node : std::exchange(graph.nodes, {})) {
      for (ValueId& input : node.inputs) input = replaced.Of(input);
      const auto lack = node.op ? FindLack(target, *node.op, node.attrs) : std::nullopt;
      const std::string label = LabelOf(graph, node);
      if (lack) {
        report.misses.push_back({node.op->name(), label, lack->reason, lack->hint});
      }
      if (lack && !node.op->equals().empty() && report.rewrites.Take("expand", label)) {
        TakeApart(node, graph, replaced);
      } else {
        graph.nodes.push_back(std::move(node));
      }
    }
    if (report.rewrites.made().empty()) return;
    replaced.Apply(graph);
    Compact(graph);
  }

 private:
  static void TakeApart(const Node& node, Graph& graph, Replacements& replaced) {
    std::vector<std::optional<Type>> operands;
    std::vector<ValueId> inputs;
    for (ValueId input : node.inputs) {
      operands.push_back(input == kAbsent ? std::nullopt : std::optional(graph.TypeOf(input)));
      if (input != kAbsent) inputs.push_back(input);
    }
    const Graph body = ExpandEquals(*node.op, operands, node.attrs);
    const std::vector<ValueId> results = Inline(graph, body, inputs);
    for (size_t i = 0; i < results.size(); ++i) {
      std::swap(graph.values[node.outputs[i]].name, graph.values[results[i]].name);
      replaced.Set(node.outputs[i], results[i]);
    }
  }
};

}  // namespace

std::unique_ptr<Pass> select_ops() { return std::make_unique<SelectOps>(); }

}  // namespace fusible::passes
