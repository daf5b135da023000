#include "passes/pass.h"

#include "core/cat.h"
#include "core/error.h"
#include "passes/list.h"

namespace fusible {

const std::vector<std::unique_ptr<Pass>>& AllPasses() {
  static const auto& all = *new std::vector<std::unique_ptr<Pass>>([] {
    std::vector<std::unique_ptr<Pass>> made;
#define FUSIBLE_PASS(name) made.push_back(passes::name());
#include "passes.inc"
#undef FUSIBLE_PASS
    return made;
  }());
  return all;
}

const Pass& RequirePass(std::string_view name) {
  std::string known;
  for (const auto& pass : AllPasses()) {
    if (pass->name() == name) return *pass;
    known += Cat(known.empty() ? "" : ", ", pass->name());
  }
  throw ArgumentError(Cat("pipeline: expected passes out of ", known, ", got ", name));
}

}  // namespace fusible
