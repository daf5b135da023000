// A fault of fusible itself: a pass crashed, left a graph that is not legal, or said something
// untrue about what it did.
#pragma once

#include <string>
#include <utility>

#include "core/error.h"
#include "passes/rewrites.h"

namespace fusible {

class PassError final : public Error {  // RuntimeError
 public:
  // last: the last rewrite before the fault; only its pass is there if there was none. rewrites:
  // how many there were, in all passes.
  PassError(const std::string& message, Rewrite last, size_t rewrites)
      : Error(message), last(std::move(last)), rewrites(rewrites) {}
  Rewrite last;
  size_t rewrites;
};

}  // namespace fusible
