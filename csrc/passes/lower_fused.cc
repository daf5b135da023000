#include "ir/expand.h"
#include "passes/edit.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

class LowerFused final : public Pass {
 public:
  std::string_view name() const override { return "lower-fused"; }
  std::string_view doc() const override {
    return "Takes apart every fused call and every region, whatever the target has, until only "
           "operators are left that equal no others.";
  }
  void Run(Graph& graph, const Target&, Report& report) const override {
    Expand(graph, [&](const Node& node) {
      return report.rewrites.Take(node.region ? "open" : "expand", LabelOf(graph, node));
    });
    if (!report.rewrites.made().empty()) Compact(graph);
  }
};

}  // namespace

std::unique_ptr<Pass> lower_fused() { return std::make_unique<LowerFused>(); }

}  // namespace fusible::passes
