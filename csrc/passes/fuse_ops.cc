#include "passes/apply_rules.h"
#include "passes/list.h"

namespace fusible::passes {
namespace {

class FuseOps final : public Pass {
 public:
  FuseOps() : FuseOps(std::span<const Rule>()) {}
  explicit FuseOps(std::span<const Rule> given) : rules_(Ordered(AllRules(), given)) {}

  std::string_view name() const override { return "fuse-ops"; }
  std::string_view doc() const override {
    return "Replaces what a fused operator equals by a call of it, where the target has it.";
  }
  std::unique_ptr<Pass> With(std::span<const Rule> given) const override {
    return std::make_unique<FuseOps>(given);
  }
  std::span<const Rule* const> rules() const override { return rules_; }
  std::string contract() const override {
    std::string text;
    for (const Rule& rule : AllRules()) text += RuleContract(rule) + "\n";
    return text;
  }
  void Run(Graph& graph, const Target& target, Report& report) const override {
    ApplyRules(graph, target, rules_, report);
  }

 private:
  std::vector<const Rule*> rules_;
};

}  // namespace

std::unique_ptr<Pass> fuse_ops() { return std::make_unique<FuseOps>(); }

}  // namespace fusible::passes
