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
  int Run(Graph& graph, const Target&, Report&) const override {
    const int shared = ShareEqualCalls(graph);
    if (shared > 0) Compact(graph);
    return shared;
  }
};

}  // namespace

std::unique_ptr<Pass> share_common() { return std::make_unique<ShareCommon>(); }

}  // namespace fusible::passes
