// Executable graphs, called with arrays by name.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/bind.h"
#include "bindings/packed_weights.h"
#include "bindings/unlocked.h"
#include "core/cat.h"
#include "core/error.h"
#include "runtime/executor.h"
#include "runtime/kernel_work.h"
#include "runtime/plan_memory.h"
#include "runtime/row_blocks.h"

namespace fusible {
namespace {

// An executable with what it borrows: the weights that it reads as they are.
class BoundExecutable {
 public:
  BoundExecutable(const Graph& graph, const py::dict& weights) {
    std::map<std::string, Weight> views;
    std::map<std::string, py::object> owners;
    for (const auto& [key, array] : weights) {
      const auto name = key.cast<std::string>();
      BorrowedArray read = ReadWeight(array, {"weights", "", name});
      views.emplace(name, Weight{read.view, IsPackedWeight(array)});
      owners.emplace(name, std::move(read.owner));
    }
    Prepare(graph, views);
    for (auto& [name, owner] : owners) {
      if (executable_->Reads(name)) owners_.push_back(std::move(owner));
    }
    for (const Input& input : graph.inputs) {
      if (input.kind == InputKind::kConstant) continue;
      names_.push_back(graph.values[input.value].name);
      updated_.push_back(input.kind == InputKind::kUpdated);
    }
  }

  py::tuple Call(const py::dict& inputs) { return RunOn(inputs, nullptr); }

  std::pair<py::tuple, std::vector<StepProfile>> Profile(const py::dict& inputs) {
    std::vector<StepProfile> steps;
    py::tuple results = RunOn(inputs, &steps);
    return {results, steps};
  }

  const Executable& executable() const { return *executable_; }

 private:
  void Prepare(const Graph& graph, const std::map<std::string, Weight>& weights) {
    const Unlocked unlocked;
    executable_ = std::make_unique<Executable>(graph, weights);
  }

  struct Inputs {
    std::vector<TensorView> views;
    std::vector<py::object> arrays;  // as the caller gave them
    std::vector<py::object> owners;  // what keeps the views alive
  };

  Inputs Read(const py::dict& given) const {
    Inputs inputs;
    for (size_t i = 0; i < names_.size(); ++i) {
      const py::str name(names_[i]);
      if (!given.contains(name)) {
        throw ArgumentError(Cat("inputs: expected ", names_[i], ", got none"));
      }
      const Argument what{"inputs", "", names_[i]};
      BorrowedArray read =
          updated_[i] ? ReadWritableArray(given[name], what) : ReadArray(given[name], what);
      if (updated_[i]) RefuseStrided(what, read.view);
      inputs.views.push_back(read.view);
      inputs.arrays.push_back(py::reinterpret_borrow<py::object>(given[name]));
      inputs.owners.push_back(std::move(read.owner));
    }
    if (given.size() != names_.size()) RefuseUnknown(given);
    return inputs;
  }

  // A copy would be updated, and the caller's array would not.
  static void RefuseStrided(const Argument& what, const TensorView& view) {
    if (view.IsContiguous()) return;
    throw ShapeError(Cat(what, ": expected a contiguous array, since it is written in place, got ",
                         "strides ", view.strides, " of shape ", view.shape));
  }

  void RefuseUnknown(const py::dict& given) const {
    for (const auto& [key, value] : given) {
      const auto name = key.cast<std::string>();
      if (std::find(names_.begin(), names_.end(), name) != names_.end()) continue;
      std::string known;
      for (const std::string& n : names_) known += (known.empty() ? "" : ", ") + n;
      throw ArgumentError(Cat("inputs: expected only ", known, ", got ", name));
    }
  }

  py::tuple RunOn(const py::dict& given, std::vector<StepProfile>* profile) {
    const Inputs inputs = Read(given);
    const auto plan = executable_->Bind(inputs.views);
    const auto specs = Executable::ResultSpecs(*plan);
    py::tuple results(specs.size());
    std::vector<TensorView> views;
    for (size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].updates >= 0) {
        views.push_back(inputs.views[specs[i].updates]);
        results[i] = inputs.arrays[specs[i].updates];
      } else {
        BorrowedArray made = NewArray(specs[i].dtype, specs[i].shape, specs[i].strides);
        views.push_back(made.view);
        results[i] = made.owner;
      }
    }
    const Unlocked unlocked;
    executable_->Run(*plan, inputs.views, views, profile);
    return results;
  }

  std::unique_ptr<Executable> executable_;
  std::vector<py::object> owners_;
  std::vector<std::string> names_;
  std::vector<bool> updated_;
};

}  // namespace

void BindRuntime(py::module_& m) {
  py::class_<StepProfile>(m, "StepProfile", "Time, bytes and flops of one step of one call.")
      .def_readonly("name", &StepProfile::name)
      .def_readonly("result", &StepProfile::result)
      .def_readonly("start_us", &StepProfile::start_us)
      .def_readonly("us", &StepProfile::us)
      .def_readonly("bytes", &StepProfile::bytes)
      .def_readonly("flops", &StepProfile::flops);
  py::class_<BoundExecutable>(m, "Executable", "A graph with planned memory, ready to be called.")
      .def(py::init<const Graph&, const py::dict&>(), py::arg("graph"), py::arg("weights"))
      .def("call", &BoundExecutable::Call, py::arg("inputs"))
      .def("profile", &BoundExecutable::Profile, py::arg("inputs"))
      .def_property_readonly("graph",
                             [](const BoundExecutable& e) { return e.executable().graph(); })
      .def_property_readonly("plans_made",
                             [](const BoundExecutable& e) { return e.executable().plans_made(); })
      .def_property_readonly("copied_bytes",
                             [](const BoundExecutable& e) { return e.executable().copied_bytes(); })
      .def_property_readonly("arena_bytes",
                             [](const BoundExecutable& e) { return e.executable().arena_bytes(); });
  py::class_<KernelWork>(m, "KernelWork", "What one kernel of whole tensors has to do.")
      .def_readonly("op", &KernelWork::op)
      .def_readonly("result", &KernelWork::result)
      .def_readonly("dims", &KernelWork::dims)
      .def_readonly("rows", &KernelWork::rows)
      .def_readonly("bytes", &KernelWork::bytes)
      .def_readonly("flops", &KernelWork::flops)
      .def_readonly("weight", &KernelWork::weight)
      .def_readonly("weight_dtype", &KernelWork::weight_dtype)
      .def_readonly("weight_bytes", &KernelWork::weight_bytes)
      .def_readonly("packed", &KernelWork::packed)
      .def_readonly("rows_dtype", &KernelWork::rows_dtype);
  m.def("kernel_work", &WorkOfKernels, py::arg("graph"), py::arg("sizes"),
        "The work of each kernel of whole tensors, with sizes for all symbols.");
  m.def("block_rows", &BlockRows, py::arg("rows"),
        "How many rows go at a time through a part of a graph that has products in it.");
  m.def(
      "plan_memory",
      [](const std::vector<std::tuple<int64_t, int, int>>& needs) {
        std::vector<MemoryNeed> read;
        for (const auto& [bytes, first, last] : needs) read.push_back({bytes, first, last});
        const MemoryPlan plan = PlanMemory(read);
        return std::pair(plan.offsets, plan.bytes);
      },
      py::arg("needs"),
      "Offsets of (bytes, first step, last step) in one arena, and its bytes: what plans are made "
      "of.");
}

}  // namespace fusible
