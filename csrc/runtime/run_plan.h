// Runs the steps of a plan: patches pointers, allocates nothing.
#pragma once

#include <span>
#include <vector>

#include "core/arena.h"
#include "runtime/plan.h"

namespace fusible {

struct RunArrays {
  std::span<const TensorView> inputs, weights, results;
};

// Throws ArgumentError where an input that is updated in place overlaps another one, or a weight.
void RunPlan(const Executable::Plan& plan, const RunArrays& arrays, ArenaPool& arenas,
             std::vector<StepProfile>* profile);

}  // namespace fusible
