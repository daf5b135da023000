// How many CPUs this process may use.
#pragma once

#include <string>

namespace fusible {

// The smaller of the CPUs that the process is bound to and of its control group's quota, at least
// 1. `root` stands before the paths of /proc and /sys: for tests.
int UsableCpus(const std::string& root = "");

}  // namespace fusible
