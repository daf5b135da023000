// The CPUs that this process may use.
#pragma once

#include <string>

namespace fusible {

// The smaller of the CPUs that the process is bound to and of its control group's quota, at least
// 1. `root` stands before the paths of /proc and /sys: for tests.
int UsableCpus(const std::string& root = "");

int CurrentCpu();        // that the calling thread runs on; -1 where nobody knows
void LeaveCpu(int cpu);  // keeps the calling thread to the process's other CPUs, if it has others

}  // namespace fusible
