// All operators of this build, by name.
#pragma once

#include <span>
#include <string_view>

#include "ops/op.h"

namespace fusible {

std::span<const Op> AllOps();             // sorted by name
const Op* FindOp(std::string_view name);  // nullptr when there is none
// ArgumentError that names the nearest when there is none.
const Op& RequireOp(std::string_view name);

}  // namespace fusible
