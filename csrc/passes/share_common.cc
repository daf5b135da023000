#include "passes/edit.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

class ShareCommon final : public Pass {
 public:
  std::string_view name() const override { return "share-common"; }
  std::string_view doc() const override {
    return "Makes equal calls of operators one; opaque calls stay as they are.";
  }
  void Run(Graph& graph, const Target&, Report& report) const override {
    ShareEqualCalls(graph, &report.rewrites);
    if (!report.rewrites.made().empty()) Compact(graph);
  }
};

}  // namespace

std::unique_ptr<Pass> share_common() { return std::make_unique<ShareCommon>(); }

}  // namespace fusible::passes
