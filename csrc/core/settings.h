// The environment settings; nobody else reads the environment.
#pragma once

#include <optional>
#include <string>

namespace fusible {

std::optional<std::string> IsaSetting();  // FUSIBLE_ISA: the instruction set to force
// FUSIBLE_THREADS: ArgumentError unless a whole number 1..1024.
std::optional<int> ThreadsSetting();

}  // namespace fusible
