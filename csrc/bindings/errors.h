// Errors for functions that Python calls without pybind11 between.
#pragma once

namespace fusible {

// In a catch block: makes the exception at hand Python's.
void RaiseInPython() noexcept;

}  // namespace fusible
