// A call of an operator from Python, with all its checks.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "core/tensor.h"
#include "runtime/eager.h"

namespace fusible {

namespace py = pybind11;

// What a call leaves for the next one like it (prepared_calls.h). Of an operand that took the call
// over and of a view nothing is left.
struct CheckedCall {
  py::object result;
  std::shared_ptr<const EagerCall> call;
  std::vector<TensorView> operands, results;
};

// operands in the signature's order, None where absent; attrs by name, None where not given; out:
// None, an array, or a tuple or list of them.
CheckedCall CallChecked(const Op& op, const py::tuple& operands, const py::dict& attrs,
                        const py::object& out);

// Runs without the interpreter's lock where that is worth it.
void RunUnlocked(const EagerCall& call, std::span<std::byte* const> memory, int64_t bytes);

}  // namespace fusible
