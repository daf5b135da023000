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
    const auto lacks = [&](const Node& call) {
      const auto lack = FindLack(target, *call.op, call.attrs);
      if (!lack) return false;
      report.misses.push_back({call.op->name(), LabelOf(graph, call), lack->reason, lack->hint});
      return true;
    };
    Expand(graph, [&](const Node& node) {
      return node.op && lacks(node) && report.rewrites.Take("expand", LabelOf(graph, node));
    });
    for (const Node& node : graph.nodes) {
      if (node.op && node.op->equals().empty()) lacks(node);
    }
    if (!report.rewrites.made().empty()) Compact(graph);
  }
};

}  // namespace

std::unique_ptr<Pass> select_ops() { return std::make_unique<SelectOps>(); }

}  // namespace fusible::passes
