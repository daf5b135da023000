#include "passes/edit.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

class DropDead final : public Pass {
 public:
  std::string_view name() const override { return "drop-dead"; }
  std::string_view doc() const override {
    return "Drops calls whose results nobody reads; an opaque call that mutates stays.";
  }
  void Run(Graph& graph, const Target&, Report& report) const override {
    DropDeadNodes(graph, &report.rewrites);
    if (!report.rewrites.made().empty()) Compact(graph);
  }
};

}  // namespace

std::unique_ptr<Pass> drop_dead() { return std::make_unique<DropDead>(); }

}  // namespace fusible::passes
