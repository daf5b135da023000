// What each file of this folder adds to the module.
#pragma once

#include <pybind11/pybind11.h>

namespace fusible {

namespace py = pybind11;

void BindErrors(py::module_& m);
void BindSettings(py::module_& m);
void BindOps(py::module_& m);
void BindGraphs(py::module_& m);
void BindTargets(py::module_& m);
void BindPatterns(py::module_& m);
void BindPasses(py::module_& m);
void BindRuntime(py::module_& m);
void BindPackedWeights(py::module_& m);

}  // namespace fusible
