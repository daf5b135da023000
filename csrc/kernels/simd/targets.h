// The instruction sets the kernels are compiled for, and which of them calls run on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fusible::kernels {

// Names such as "avx3_dl", "avx3", "avx2", "sse4", "neon", "scalar"; best first.
std::vector<std::string> CompiledIsas();
std::vector<std::string> PresentIsas();  // compiled, and this CPU has it
std::string ChosenIsa();

// Every later call runs on this one. ArgumentError unless it is present; "" chooses the best again.
// Not while kernels run.
void ForceIsa(std::string_view name);

}  // namespace fusible::kernels
