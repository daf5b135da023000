// The functions of THE list of passes (CMakeLists.txt), each in the file of its name.
#pragma once

#include <memory>

#include "passes/pass.h"

namespace fusible::passes {

#define FUSIBLE_PASS(name) std::unique_ptr<Pass> name();
#include "passes.inc"
#undef FUSIBLE_PASS

}  // namespace fusible::passes
